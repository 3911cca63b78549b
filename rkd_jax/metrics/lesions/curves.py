"""Counts of what a map finds at each of its 65536 levels, photograph by photograph.

Maps are kept as whole numbers of 16 bits, so that two histograms of a photograph (its
lesion pixels, its background pixels) hold all that any score of pixels depends on: no
pixel is kept, and nothing is rounded any more.
"""

from __future__ import annotations

import dataclasses

import numpy as np

LEVELS = 65536
_ROUNDING = 1e-5  # a mean of float32 ones may be a little more than 1
_BLOCK = 2**20  # pixels counted at a time: `bincount` takes 8 bytes a pixel
_SCORES = np.arange(LEVELS) / (LEVELS - 1)


def to_levels(probability: np.ndarray) -> np.ndarray:
    """Round probabilities to whole numbers: score = level / 65535.

    Args:
        probability: float `[H, W]` in 0..1.

    Raises:
        ValueError: NaN, or a value outside 0..1.

    >>> to_levels(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 32768, 65535]
    """
    low, high = float(probability.min()), float(probability.max())
    if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
        raise ValueError(f"probabilities from {low:g} to {high:g}; expected 0..1")
    scaled = np.rint(probability * np.float32(LEVELS - 1))
    return np.clip(scaled, 0, LEVELS - 1).astype(np.uint16)


def first_above(threshold: float) -> int:
    """Return the least level whose score is above a threshold; 65536 if none is.

    >>> first_above(0.1), first_above(0.2), first_above(1.0)
    (6554, 13108, 65536)
    """
    return int(np.searchsorted(_SCORES, threshold, side="right"))


def first_from(threshold: float) -> int:
    """Return the least level whose score is a threshold or more; 65536 if none is.

    >>> first_from(0.1), first_from(0.2), first_from(1.0)
    (6554, 13107, 65535)
    """
    return int(np.searchsorted(_SCORES, threshold, side="left"))


def count_pixels(
    levels: np.ndarray, lesion: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count the pixels of each level, those of lesions and those of the background.

    Args:
        levels: uint16 `[H, W]`, see `to_levels`.
        lesion: bool `[H, W]`.

    Returns:
        Two int64 `[65536]`.

    Raises:
        ValueError: shapes differ, or the levels have another type.

    >>> levels, lesion = np.uint16([[7, 7, 9]]), np.array([[True, False, True]])
    >>> inside, outside = count_pixels(levels, lesion)
    >>> inside[[7, 9]].tolist(), outside[[7, 9]].tolist()
    ([1, 1], [1, 0])
    """
    if levels.shape != lesion.shape or levels.dtype != np.uint16:
        raise ValueError(
            f"levels are {levels.dtype} {levels.shape}, the mask is {lesion.shape}; "
            "expected uint16 and one shape"
        )
    levels, lesion = levels.ravel(), lesion.ravel()
    inside, every = np.zeros(LEVELS, np.int64), np.zeros(LEVELS, np.int64)
    for start in range(0, levels.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        every += np.bincount(levels[part], minlength=LEVELS)
        inside += np.bincount(levels[part][lesion[part]], minlength=LEVELS)
    return inside, every - inside


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreCurve:
    """What is found if all of at least a level counts as found, for each level.

    The counted things are pixels (`pixels.py`), or lesions and false candidates
    (`froc.py`).

    Attributes:
        found: `[..., 65537]`: at k, true ones of level k or above; 0 at the end.
        wrong: `[..., 65537]`: false ones likewise.
        total: `[...]` true ones, whether or not any level finds them.
    """

    found: np.ndarray
    wrong: np.ndarray
    total: np.ndarray

    @classmethod
    def of(
        cls, true: np.ndarray, false: np.ndarray, total: np.ndarray | None = None
    ) -> ScoreCurve:
        """Return the curve of histograms.

        Args:
            true: `[..., 65536]` counts by level, such as of photographs.
            false: likewise.
            total: `[...]`; None: the sums of `true`.

        >>> levels, lesion = np.uint16([2, 1]), np.array([True, False])
        >>> curve = ScoreCurve.of(*count_pixels(levels, lesion))
        >>> curve.found[:4].tolist(), curve.wrong[:4].tolist()
        ([1.0, 1.0, 1.0, 0.0], [1.0, 1.0, 0.0, 0.0])
        """
        total = np.sum(true, axis=-1) if total is None else np.asarray(total)
        return cls(_at_least(true), _at_least(false), total.astype(np.float64))

    def weighted(self, weights: np.ndarray) -> ScoreCurve:
        """Return the curve of photographs together.

        Args:
            weights: `[..., N]`, how often each of the N photographs counts.

        Raises:
            ValueError: the curve is not of N photographs.
        """
        count = weights.shape[-1]
        if self.found.ndim != 2 or len(self.found) != count:
            raise ValueError(
                f"weights of {count} photographs, counts of shape {self.found.shape}; "
                "expected a row of counts a photograph"
            )
        weights = weights.astype(np.float64)
        return ScoreCurve(
            weights @ self.found, weights @ self.wrong, weights @ self.total
        )

    def together(self) -> ScoreCurve:
        """Return the curve of all photographs together, each once."""
        return self.weighted(np.ones(len(self.found)))


def _at_least(counts: np.ndarray) -> np.ndarray:
    # float64 is exact up to 2**53, and matrix products of it are fast.
    found = np.zeros((*counts.shape[:-1], LEVELS + 1))
    np.cumsum(counts[..., ::-1], axis=-1, out=found[..., -2::-1])
    return found

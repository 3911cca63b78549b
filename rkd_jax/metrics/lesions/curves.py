"""Counts of what a map finds at each of its 65536 levels, photograph by photograph.

Maps are kept as whole numbers of 16 bits, so that two histograms of a photograph (its
lesion pixels, its background pixels) hold all that any score of pixels depends on: no
pixel is kept, and nothing is rounded any more. Levels are even in the logarithm of the
odds p / (1 - p), since scores depend on the order of pixels: a geometric mean with maps
that are 0 lies below 1e-4, where even steps of p would leave less than ten levels.
"""

from __future__ import annotations

import dataclasses

import numpy as np

LEVELS = 65536
_MIDDLE, _PER_UNIT = 32768, 1560  # level of 0.5; levels for 1 in the log odds
CODING = f"log odds, {_PER_UNIT} levels a unit"
"""What levels mean, for files that hold them."""
_LEAST, _MOST = 1e-9, 1 - 2**-24  # float32 has nothing between the second and 1
_ROUNDING = 1e-5  # a mean of float32 ones may be a little more than 1
_BLOCK = 2**20  # pixels counted at a time: `bincount` takes 8 bytes a pixel


def to_levels(probability: np.ndarray) -> np.ndarray:
    """Round probabilities to whole numbers that keep their order; see `to_scores`.

    The log odds are rounded to 1/1560. 0 and 1 have the levels 0 and 65535; between
    them, what is below 1e-9 counts as 1e-9.

    Args:
        probability: float `[H, W]` in 0..1.

    Raises:
        ValueError: NaN, or a value outside 0..1.

    >>> to_levels(np.array([0.0, 1e-6, 2e-6, 0.5, 1.0])).tolist()
    [0, 11216, 12297, 32768, 65535]
    """
    low, high = float(probability.min()), float(probability.max())
    if not (low >= -_ROUNDING and high <= 1.0 + _ROUNDING):
        raise ValueError(f"probabilities from {low:g} to {high:g}; expected 0..1")
    kind = np.result_type(probability, np.float32)  # float16 has no 1e-9
    inside = np.clip(probability.astype(kind), _LEAST, _MOST)
    odds = np.log(inside) - np.log1p(-inside)
    levels = np.rint(_MIDDLE + _PER_UNIT * odds).astype(np.uint16)
    levels[probability <= 0.0] = 0
    levels[probability >= 1.0] = LEVELS - 1
    return levels


def to_scores(levels: np.ndarray) -> np.ndarray:
    """Return the probabilities that levels stand for.

    It is 1 / (1 + exp((32768 - level) / 1560)); 0 and 1 at both ends.

    Args:
        levels: numbers in 0..65535, not only whole ones; any shape.

    >>> to_scores(np.array([0, 32768 - 1560, 32768, 65535])).round(3).tolist()
    [0.0, 0.269, 0.5, 1.0]
    """
    levels = np.asarray(levels)
    scores = 1.0 / (1.0 + np.exp((_MIDDLE - levels) / _PER_UNIT))
    return np.select([levels <= 0, levels >= LEVELS - 1], [0.0, 1.0], scores)


_SCORES = to_scores(np.arange(LEVELS))


def first_above(threshold: float) -> int:
    """Return the least level whose score is above a threshold; 65536 if none is.

    >>> first_above(0.0), first_above(0.5), first_above(1.0)
    (1, 32769, 65536)
    """
    return int(np.searchsorted(_SCORES, threshold, side="right"))


def first_from(threshold: float) -> int:
    """Return the least level whose score is a threshold or more; 65536 if none is.

    >>> first_from(0.0), first_from(0.5), first_from(1.0)
    (0, 32768, 65535)
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

"""One probability map from several: the rows of the paper's table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

EPS = 1e-7
MAPS = ("full", "half", "full_refined", "half_refined")
"""The map of each proposal network, and the classifier's in the region of each."""


def arithmetic(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of maps.

    Args:
        maps: float32 `[H, W]` each, in 0..1.

    >>> arithmetic([np.float32([[0.2]]), np.float32([[0.8]])]).tolist()
    [[0.5]]
    """
    total = maps[0].astype(np.float32)
    for one in maps[1:]:
        total += one
    total /= len(maps)
    return total


def geometric(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the geometric mean of maps; what is below 1e-7 counts as 1e-7.

    So where one map is 0, the other maps decide the order of the pixels.

    Args:
        maps: float32 `[H, W]` each, in 0..1; at most five.

    >>> geometric([np.float32([[0.25]]), np.float32([[1.0]])]).tolist()
    [[0.5]]
    """
    product = np.maximum(maps[0], np.float32(EPS))
    for one in maps[1:]:
        product *= np.maximum(one, np.float32(EPS))
    return product ** np.float32(1 / len(maps))


@dataclasses.dataclass(frozen=True)
class Fusion:
    """A way to make one map.

    Attributes:
        maps: which, of `MAPS`.
        mean: "arithmetic" or "geometric".
    """

    maps: tuple[str, ...]
    mean: str = "arithmetic"

    def __call__(
        self, maps: Mapping[str, np.ndarray], classifier_weight: float
    ) -> np.ndarray:
        """Return the fused map; see `fuse`."""
        how = {"arithmetic": arithmetic, "geometric": geometric}[self.mean]
        first = how([maps[name] for name in self.maps if name in MAPS[:2]])
        refined = [maps[name] for name in self.maps if name in MAPS[2:]]
        if not refined:
            return first
        weight, second = np.float32(classifier_weight), how(refined)
        # In place: a map of a photograph has some 50 MB.
        if self.mean == "arithmetic":
            second -= first
            second *= weight
            second += first
            return second
        first **= 1 - weight
        second **= weight
        second *= first
        return second


FUSIONS = {
    "full": Fusion(MAPS[:1]),
    "half": Fusion(MAPS[1:2]),
    "geometric": Fusion(MAPS[:2], "geometric"),
    "arithmetic": Fusion(MAPS[:2]),
    "refined_arithmetic": Fusion(MAPS),
    "refined_geometric": Fusion(MAPS, "geometric"),
}
"""The eight rows of the paper: the classifier with and without triplet loss is another
weights file.

Source: Sarhan et al., MICCAI 2019, table 2; order and weights of the four maps are not
stated there.
"""


def fuse(
    maps: Mapping[str, np.ndarray], fusion: str, *, classifier_weight: float = 0.5
) -> np.ndarray:
    """Return one map of several.

    Args:
        maps: float32 `[H, W]` by their names, of `MAPS`.
        fusion: a key of `FUSIONS`.
        classifier_weight: share of the two refined maps in the mean, 0 to 1; at 0.5 all
            four count alike.

    Raises:
        ValueError: no such fusion, or a map that it needs is missing.

    >>> fuse({"full": np.float32([[0.2]]), "half": np.float32([[0.4]])}, "full").shape
    (1, 1)
    """
    check_fusion(fusion)
    if missing := [name for name in FUSIONS[fusion].maps if name not in maps]:
        raise ValueError(f"fusion {fusion}: no map {', '.join(missing)}")
    return FUSIONS[fusion](maps, classifier_weight)


def needs_classifier(fusion: str) -> bool:
    """Return whether a fusion has a map of the classifier.

    >>> needs_classifier("geometric"), needs_classifier("refined_geometric")
    (False, True)
    """
    return any(name in MAPS[2:] for name in FUSIONS[fusion].maps)


def check_fusion(fusion: str) -> None:
    """Raise a ValueError unless there is such a fusion."""
    if fusion not in FUSIONS:
        raise ValueError(f"fusion is {fusion!r}; expected one of {', '.join(FUSIONS)}")

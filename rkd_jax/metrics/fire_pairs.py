"""FIRE's pairs: errors and outcomes, pairs of one eye.

Source: FIRE (Hernandez-Matas et al. 2017); "inaccurate" as in SuperRetina (Liu et al.
2022).
"""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

MAX_ERROR_PX = 50.0
MEDIAN_ERROR_PX = 20.0

_NAME = re.compile(r"([SPA]\d+)(_.*)?")


@dataclasses.dataclass(frozen=True)
class PairResult:
    """What one registration of a FIRE pair came to.

    Attributes:
        name: FIRE's name of the pair, such as "S01" or "S01_1_2".
        failed: True if no transform was found.
        errors: `[N]` distances of the control points in pixels of the files, or None
            if failed. A value that is not finite makes the pair count as failed.
        eye: group of pairs that share images (see `group_eyes`).
        n_matches: matches the fit was given.
        n_inliers: matches the fit kept.

    Raises:
        ValueError: a name that is not FIRE's, or errors that are missing, empty, not
            one-dimensional or negative.
    """

    name: str
    failed: bool
    errors: np.ndarray | None
    eye: int
    n_matches: int = 0
    n_inliers: int = 0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"pair {self.name!r} is not a FIRE name: expected S, P or A and a "
                "number, such as S01 or S01_1_2"
            )
        if self.failed:
            return
        if self.errors is None:
            raise ValueError(f"pair {self.name}: not failed, so errors are needed")
        errors = np.asarray(self.errors, dtype=np.float64)
        if errors.ndim != 1 or errors.size == 0 or (errors < 0).any():
            raise ValueError(
                f"pair {self.name}: errors have shape {errors.shape}; expected [N] "
                "distances of at least 0, N >= 1"
            )
        object.__setattr__(self, "errors", errors)

    @property
    def short_name(self) -> str:
        """FIRE's class and number, such as "S01"."""
        return self.name.split("_")[0]

    @property
    def category(self) -> str:
        """S (easy), P (hard: little overlap) or A (moderate: anatomy changed)."""
        return self.name[0]

    @property
    def outcome(self) -> str:
        """`classify` of the errors."""
        return classify(None if self.failed else self.errors)

    @property
    def mean_error(self) -> float:
        """Mean distance in pixels; inf if failed."""
        return np.inf if self.outcome == "failed" else float(np.mean(self.errors))


def pair_errors(predicted_xy: np.ndarray, true_xy: np.ndarray) -> np.ndarray:
    """Measure how far mapped control points fall from their true places.

    Args:
        predicted_xy: `[N, 2]` (x, y) in pixels, mapped into the fixed image.
        true_xy: `[N, 2]`, annotated in the fixed image.

    Returns:
        float64 `[N]` Euclidean distances in pixels; inf where a prediction is not
        finite.

    Raises:
        ValueError: shapes differ or are not `[N, 2]`.

    >>> pair_errors(np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]])).tolist()
    [5.0]
    """
    predicted = np.asarray(predicted_xy, dtype=np.float64)
    true = np.asarray(true_xy, dtype=np.float64)
    if predicted.shape != true.shape or predicted.ndim != 2 or true.shape[1] != 2:
        raise ValueError(
            f"predicted_xy has shape {predicted.shape} and true_xy {true.shape}; "
            "expected [N, 2] for both"
        )
    bad = ~np.isfinite(predicted).all(axis=1)
    distances = np.linalg.norm(np.where(bad[:, None], 0.0, predicted) - true, axis=1)
    return np.where(bad, np.inf, distances)


def classify(errors: np.ndarray | None) -> str:
    """Name the outcome of a pair by its largest and its median error.

    Args:
        errors: `[N]` distances in pixels of the files, or None without a transform.

    Returns:
        "failed" (no transform, or a point sent to infinity), "inaccurate" (largest
        above 50 px or median above 20 px), or "acceptable".

    >>> classify(np.array([1.0, 2.0, 50.0])), classify(np.array([1.0, 2.0, 50.5]))
    ('acceptable', 'inaccurate')
    """
    if errors is None or not np.isfinite(errors).all():
        return "failed"
    if np.max(errors) > MAX_ERROR_PX or np.median(errors) > MEDIAN_ERROR_PX:
        return "inaccurate"
    return "acceptable"


def group_eyes(image_hashes: Sequence[tuple[str, str]]) -> np.ndarray:
    """Number the eyes: pairs that share an image, directly or in a chain, are one.

    FIRE names pairs, not images, so the same photograph has several file names; a hash
    of the file's bytes tells.

    Args:
        image_hashes: for each pair, hashes of its fixed and its moving image.

    Returns:
        int64 `[M]`, numbered from 0 in order of first appearance.

    >>> group_eyes([("a", "b"), ("c", "d"), ("b", "e")]).tolist()
    [0, 1, 0]
    """
    parent: dict[str, str] = {}

    def root(image: str) -> str:
        parent.setdefault(image, image)
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for fixed, moving in image_hashes:
        parent[root(moving)] = root(fixed)
    numbers: dict[str, int] = {}
    eyes = [numbers.setdefault(root(fixed), len(numbers)) for fixed, _ in image_hashes]
    return np.array(eyes, dtype=np.int64)

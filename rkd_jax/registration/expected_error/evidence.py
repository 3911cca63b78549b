"""What the matches of a pair say about the error of its transform, place by place."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.fitting.choice import blocks_and_folds
from rkd_jax.registration.fitting.fit import FAMILIES
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.transforms import Transform

FEATURES = ("resampled", "bias", "distance_squared", "pixel")
"""See `features`."""

_NEAREST = 8  # matches around a place that count for it
_FAR = 3  # the distance to so many of them counts: one alone may be wrong
_FEWEST = 4  # matches that fix a homography
_LOST_PX = 100.0  # stands for what cannot be measured
_DISTANCE_UNIT_PX = 100.0


def features(
    points_moving: np.ndarray, problem: Problem, inliers: np.ndarray, scale: float
) -> np.ndarray:
    """Measure what supports a transform at places of the moving image.

    All in pixels of a 768-pixel working image:

    - "resampled": how far fits without a quarter of the neighborhoods put the place
      from where the transform does (root mean square of four);
    - "bias": length of the mean residual of the 8 nearest inliers, which is 0 where
      residuals are noise; at most 100;
    - "distance_squared": of the third nearest inlier, in units of (100 pixels)^2;
    - "pixel": one pixel of the fixed file, within which a landmark is marked.

    What was tried too and left out, since it has no weight beside these: fits of the
    other families, the scatter of the residuals, matches that are no inliers.

    Args:
        points_moving: `[N, 2]` in the moving file.
        problem: the matches, how they were fitted, and the result as its `start`.
        inliers: `[M]` bool.
        scale: pixels of a 768-pixel working image to one of the fixed file.

    Returns:
        `[N, 4]` float64, in the order of `FEATURES`; finite, at least 0.
    """
    transform = problem.start
    mapped = transform.apply(points_moving)
    residual = scale * (transform.apply(problem.moving) - problem.fixed)[inliers]
    nearest, away = _nearest(mapped, transform.apply(problem.moving[inliers]))
    bias = np.full(len(mapped), _LOST_PX)
    if len(residual):
        bias = np.linalg.norm(residual[nearest].mean(axis=1), axis=1)
    columns = [
        _spread(_refits(problem), points_moving, mapped, scale),
        bias,
        (scale * away / _DISTANCE_UNIT_PX) ** 2,
        np.full(len(mapped), scale),
    ]
    values = np.stack(columns, axis=1)
    return np.minimum(np.nan_to_num(values, nan=_LOST_PX, posinf=_LOST_PX), _LOST_PX)


def distance_px(rows: np.ndarray) -> np.ndarray:
    """Return how far the third nearest inlier is, of rows `[N, 4]` of `features`.

    Returns:
        `[N]` in pixels of a 768-pixel working image.

    >>> distance_px(np.array([[0.0, 0.0, 0.25, 1.0]])).tolist()
    [50.0]
    """
    squared = rows[:, FEATURES.index("distance_squared")]
    return _DISTANCE_UNIT_PX * np.sqrt(squared)


def _refits(problem: Problem) -> list[Transform | None]:
    """Fit the family again without each of four quarters of the neighborhoods.

    None stands for a fit with too few matches.
    """
    fit = FAMILIES[problem.start.family]
    _, folds = blocks_and_folds(problem.moving)
    kept = [folds != fold for fold in np.unique(folds)]
    return [
        fit(problem.subset(rows, problem.start)).transform
        if rows.sum() >= _FEWEST
        else None
        for rows in kept
    ]


def _spread(
    transforms: list[Transform | None],
    points: np.ndarray,
    mapped: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Return the root mean square distance `[N]` of mapped points from `mapped`."""
    squares = [
        np.full(len(points), _LOST_PX**2)
        if one is None
        else np.sum((scale * (one.apply(points) - mapped)) ** 2, axis=1)
        for one in transforms
    ]
    return np.sqrt(np.mean(squares, axis=0))


def _nearest(mapped: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest matches `[N, K]` and the distance of the third, `[N]`.

    Args:
        mapped: `[N, 2]` the points in the fixed file.
        places: `[M, 2]` the matches there, as the transform maps them.
    """
    if not len(places):
        return np.zeros((len(mapped), 0), int), np.full(len(mapped), np.inf)
    squared = np.sum((mapped[:, None] - places[None]) ** 2, axis=2)
    squared = np.where(np.isfinite(squared), squared, np.inf)
    count = min(_NEAREST, len(places))
    order = np.argpartition(squared, count - 1, axis=1)[:, :count]
    near = np.sort(np.take_along_axis(squared, order, axis=1), axis=1)
    return order, np.sqrt(near[:, min(_FAR, count) - 1])

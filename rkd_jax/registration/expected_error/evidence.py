"""What the matches of a pair say about the error of its transform, place by place."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.fitting.choice import blocks_and_folds
from rkd_jax.registration.fitting.fit import FAMILIES, LEAST, candidates
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.transforms import Transform

FEATURES = (
    "constant",
    "resampled",
    "families",
    "scatter",
    "bias",
    "misfit",
    "distance",
    "distance_squared",
    "pixel",
)
"""See `features`."""

_NEAREST = 8  # matches around a place that tell of it
_FAR = 3  # the distance to so many of them counts: one alone may be wrong
_FEWEST = 4  # matches that fix a homography
_LOST_PX = 100.0  # stands for what cannot be measured
_DISTANCE_UNIT_PX = 100.0


def features(
    points_moving: np.ndarray, problem: Problem, inliers: np.ndarray, scale: float
) -> np.ndarray:
    """Measure what supports a transform at places of the moving image.

    All in pixels of a 768-pixel working image:

    - "constant": 1;
    - "resampled": how far fits without a quarter of the neighborhoods put the place
      from where the transform does (root mean square of four);
    - "families": the same of fits of the other families;
    - "scatter": root mean square residual of the 8 nearest inliers, at most 100;
    - "bias": length of the mean of these residuals, which is 0 where they are noise;
    - "misfit": root mean square residual of the 8 nearest matches, inliers or not,
      each at most 4;
    - "distance": to the third nearest inlier, in units of 100 pixels, and
      "distance_squared", its square;
    - "pixel": one pixel of the fixed file, within which a landmark is marked.

    Args:
        points_moving: `[N, 2]` in the moving file.
        problem: the matches, how they were fitted, and the result as its `start`.
        inliers: `[M]` bool.
        scale: pixels of a 768-pixel working image to one of the fixed file.

    Returns:
        `[N, 9]` float64, in the order of `FEATURES`; finite, at least 0.
    """
    transform = problem.start
    mapped = transform.apply(points_moving)
    every = np.ones(len(inliers), bool)
    others = [
        _fit_again(name, problem, every)
        for name in candidates(problem)
        if name != transform.family and inliers.sum() >= LEAST[name]
    ]
    residual = scale * (transform.apply(problem.moving) - problem.fixed)
    size = np.hypot(residual[:, 0], residual[:, 1])
    kept, rows = problem.moving[inliers], np.flatnonzero(inliers)
    nearest, away = _nearest(points_moving, kept, transform, scale, mapped)
    around = residual[rows[nearest]] if len(rows) else np.full((len(mapped), 1, 2), 0.0)
    whole, _ = _nearest(points_moving, problem.moving, transform, scale, mapped)
    columns = [
        np.ones(len(mapped)),
        _spread(_refits(problem), points_moving, mapped, scale),
        _spread(others, points_moving, mapped, scale),
        np.sqrt(np.mean(np.sum(around**2, axis=2), axis=1)),
        np.linalg.norm(around.mean(axis=1), axis=1),
        np.sqrt(np.mean(np.minimum(size[whole], 4.0) ** 2, axis=1)),
        away / _DISTANCE_UNIT_PX,
        (away / _DISTANCE_UNIT_PX) ** 2,
        np.full(len(mapped), scale),
    ]
    values = np.stack(columns, axis=1)
    return np.minimum(np.nan_to_num(values, nan=_LOST_PX, posinf=_LOST_PX), _LOST_PX)


def _fit_again(family: str, problem: Problem, kept: np.ndarray) -> Transform | None:
    """Fit a family to some of the matches; None where they are too few."""
    if kept.sum() < _FEWEST:
        return None
    return FAMILIES[family](problem.subset(kept, problem.start)).transform


def _refits(problem: Problem) -> list[Transform | None]:
    """Fit the family again without each of four quarters of the neighborhoods."""
    _, folds = blocks_and_folds(problem.moving)
    return [
        _fit_again(problem.start.family, problem, folds != fold)
        for fold in np.unique(folds)
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
    if not squares:
        return np.zeros(len(points))
    return np.sqrt(np.mean(squares, axis=0))


def _nearest(
    points: np.ndarray,
    matches: np.ndarray,
    transform: Transform,
    scale: float,
    mapped: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest matches `[N, K]` and the distance of the third, in the fixed.

    Args:
        points: `[N, 2]` of the moving file.
        matches: `[M, 2]` likewise.
        transform: of the pair.
        scale: of distances.
        mapped: `[N, 2]` the points in the fixed file.
    """
    if not len(matches):
        return np.zeros((len(points), 0), int), np.full(len(points), np.inf)
    places = transform.apply(matches)
    squared = np.sum((mapped[:, None] - places[None]) ** 2, axis=2)
    squared = np.where(np.isfinite(squared), squared, np.inf)
    count = min(_NEAREST, len(matches))
    order = np.argpartition(squared, count - 1, axis=1)[:, :count]
    near = np.take_along_axis(squared, order, axis=1)
    far = np.sort(near, axis=1)[:, min(_FAR, count) - 1]
    return order, scale * np.sqrt(far)

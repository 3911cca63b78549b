"""The map of the expected error of a fitted pair."""

from __future__ import annotations

import dataclasses

import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.expected_error.evidence import features
from rkd_jax.registration.expected_error.model import ErrorModel, packaged_error_model
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.fit import choose_family
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.result import Registration

_POINTS = 24  # of the grid along the longer side


def problem_of(
    found: Registration,
    estimator: str = "magsac",
    curvature: Curvature | None = None,
) -> Problem:
    """Return what the fit of a registration solved, started from its solution."""
    return Problem(
        moving=found.matches.points_moving,
        fixed=found.matches.points_fixed,
        frames=found.frames,
        estimator=estimator,
        threshold_px=found.threshold_px,
        curvature=curvature or Curvature.prior(),
        start=found.transform,
    )


def estimate_errors(
    found: Registration,
    problem: Problem,
    pair: Pair,
    *,
    chosen: bool = True,
    model: ErrorModel | None = None,
) -> ErrorMap:
    """Estimate by how many pixels a registration may be off, over the fixed image.

    The grid lies over the part of the fixed image that the pair uses.

    Args:
        found: of the pair, with a transform.
        problem: what its fit solved (`problem_of`).
        pair: the photographs.
        chosen: whether the family was chosen by the matches; False where it was given.
        model: None takes the packaged one.
    """
    model = packaged_error_model() if model is None else model
    # A narrow field that the search found in a wide one would lie between few points
    # of a grid over the whole file.
    low, high = np.reshape(pair.fixed_part, (2, 2)) - [[0], [1]]
    counts = np.rint((_POINTS - 1) * (high - low) / (high - low).max()).astype(int) + 1
    x, y = map(np.linspace, low, high, np.maximum(counts, 2))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    source = found.transform.apply_inverse(grid)
    usable = np.isfinite(source).all(axis=-1)
    levels = np.full((2, *usable.shape), np.nan)
    measure = levels_of_chosen if chosen else levels_of_given
    levels[:, usable] = measure(
        source[usable], problem, found.inliers, found.scale, model
    )
    overlap = usable & _shown(pair.fixed, grid)
    overlap[usable] &= _shown(pair.moving, source[usable])
    return ErrorMap(x, y, *(levels / found.scale), overlap)


def levels_of_chosen(
    points_moving: np.ndarray,
    problem: Problem,
    inliers: np.ndarray,
    scale: float,
    model: ErrorModel,
) -> np.ndarray:
    """Return expected error and bound of a transform whose family the matches chose.

    Args:
        points_moving: `[N, 2]` in the moving file.
        problem: what was fitted, and the result as its `start`.
        inliers: `[M]` bool.
        scale: pixels of a 768-pixel working image to one of the fixed file.
        model: makes pixels of what the matches say.

    Returns:
        `[2, N]` in pixels of a 768-pixel working image; NaN where not known.
    """
    return np.stack(model.levels(features(points_moving, problem, inliers, scale)))


def levels_of_given(
    points_moving: np.ndarray,
    problem: Problem,
    inliers: np.ndarray,
    scale: float,
    model: ErrorModel,
) -> np.ndarray:
    """Return the levels of a transform whose family the user chose.

    A plane through matches of a curved retina has inliers that agree with it, and is
    off by pixels between them. So the error is at most that of the family that the
    matches choose and the distance from it (the triangle inequality). Arguments and
    result are those of `levels_of_chosen`.
    """
    best = choose_family(problem).fit
    if best.transform is None:
        return levels_of_chosen(points_moving, problem, inliers, scale, model)
    away = best.transform.apply(points_moving) - problem.start.apply(points_moving)
    problem = dataclasses.replace(problem, start=best.transform)
    levels = levels_of_chosen(points_moving, problem, best.inliers, scale, model)
    return levels + scale * np.linalg.norm(away, axis=1)


def _shown(photo: Photo, points: np.ndarray) -> np.ndarray:
    """Return which points `[..., 2]` of a file lie in the camera's field, bool."""
    places = np.rint(photo.from_file(points)).astype(int)
    size = np.array(photo.field.shape[::-1])
    inside = ((places >= 0) & (places < size)).all(axis=-1)
    places = np.where(inside[..., None], places, 0)
    return inside & photo.field[places[..., 1], places[..., 0]]

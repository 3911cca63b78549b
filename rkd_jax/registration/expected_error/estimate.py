"""The map of the expected error of a fitted pair."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.expected_error.evidence import features
from rkd_jax.registration.expected_error.model import ErrorModel, packaged_error_model
from rkd_jax.registration.fitting.curvature import Curvature
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
    model: ErrorModel | None = None,
) -> ErrorMap:
    """Estimate by how many pixels a registration may be off, over the fixed image.

    The grid lies over the part of the fixed image that the pair uses.

    Args:
        found: of the pair, with a transform.
        problem: what its fit solved (`problem_of`).
        pair: the photographs.
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
    rows = features(source[usable], problem, found.inliers, found.scale)
    levels[:, usable] = model.levels(rows)
    overlap = usable & _shown(pair.fixed, grid)
    overlap[usable] &= _shown(pair.moving, source[usable])
    return ErrorMap(x, y, *(levels / found.scale), overlap)


def _shown(photo: Photo, points: np.ndarray) -> np.ndarray:
    """Return which points `[..., 2]` of a file lie in the camera's field, bool."""
    places = np.rint(photo.from_file(points)).astype(int)
    size = np.array(photo.field.shape[::-1])
    inside = ((places >= 0) & (places < size)).all(axis=-1)
    places = np.where(inside[..., None], places, 0)
    return inside & photo.field[places[..., 1], places[..., 0]]

"""The map of the expected error of a fitted pair."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.expected_error.evidence import features
from rkd_jax.registration.expected_error.model import ErrorModel, packaged_error_model
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.problem import Fit, Problem
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.photo import Photo

_POINTS = 24  # of the grid along the longer side


def problem_of(
    fit: Fit, matches: Matches, pair: Pair, estimator: str, curvature: Curvature | None
) -> Problem:
    """Return what a fit solved, started from its solution."""
    return Problem(
        moving=matches.points_moving,
        fixed=matches.points_fixed,
        frames=pair.frames,
        estimator=estimator,
        threshold_px=fit.threshold_px,
        curvature=curvature or Curvature.prior(),
        start=fit.transform,
    )


def estimate_errors(
    fit: Fit, problem: Problem, pair: Pair, *, model: ErrorModel | None = None
) -> ErrorMap:
    """Estimate by how many pixels a fit may be off, over the fixed image.

    Args:
        fit: of the pair, with a transform.
        problem: what it solved (`problem_of`).
        pair: the photographs.
        model: None takes the packaged one.
    """
    model = packaged_error_model() if model is None else model
    height, width = pair.fixed.file_size
    step = (max(height, width) - 1) / (_POINTS - 1)
    y, x = (
        np.linspace(0, side - 1, max(2, round((side - 1) / step) + 1))
        for side in (height, width)
    )
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    source = fit.transform.apply_inverse(grid)
    usable = np.isfinite(source).all(axis=-1)
    found = np.full((2, *usable.shape), np.nan)
    rows = features(
        source[usable], fit.transform, problem, fit.inliers, pair.fixed_scale
    )
    found[:, usable] = model.levels(rows)
    overlap = usable & _shown(pair.fixed, grid)
    overlap[usable] &= _shown(pair.moving, source[usable])
    return ErrorMap(x, y, *(found / pair.fixed_scale), overlap)


def _shown(photo: Photo, points: np.ndarray) -> np.ndarray:
    """Return which points `[..., 2]` of a file lie in the camera's field, bool."""
    places = np.rint(photo.from_file(points)).astype(int)
    size = np.array(photo.field.shape[::-1])
    inside = ((places >= 0) & (places < size)).all(axis=-1)
    places = np.where(inside[..., None], places, 0)
    return inside & photo.field[places[..., 1], places[..., 0]]

"""A quadratic correction on top of a homography or a radial homography."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rkd_jax.registration.fitting.problem import Fit, Problem
from rkd_jax.registration.fitting.projective import fit_homography, fit_radial
from rkd_jax.registration.transforms import (
    Quadratic,
    RadialQuadratic,
    Transform,
    monomials,
)

MIN_QUADRATIC = 12  # points that a correction of 2 x 6 parameters needs at least
# All coefficients but the constant are expected to be of this size, in thresholds.
_EXPECTED = 2.0
# Of each round: who takes part, and the Cauchy scale, in inlier thresholds.
_REACH = (3.0, 2.0, 1.5, 1.0)
_SCALES = (0.67, 0.5, 0.4, 0.4)


def correction_frame(fixed: np.ndarray) -> tuple[np.ndarray, float]:
    """Return centre and reach of points `[N, 2]`: the unit of a correction."""
    center = fixed.mean(axis=0)
    return center, max(1.0, float(np.abs(fixed - center).max()))


def reweighted_ridge(
    terms: np.ndarray,
    target: np.ndarray,
    start: np.ndarray,
    scale_px: float,
    expected_px: float,
) -> np.ndarray:
    """Solve target `[N, 2]` ~ terms `[N, 6]` by iteratively reweighted ridge.

    Cauchy weights 1 / (1 + (error / scale)^2). The ridge is what a Gaussian prior of
    standard deviation `expected_px` on the coefficients adds to Cauchy noise: it
    matters for a few points, and vanishes for many.
    """
    ridge = scale_px**2 / (3.0 * expected_px**2) * np.diag([0.0, 1, 1, 1, 1, 1])
    residual = start
    for _ in range(10):
        error = target - terms @ residual.T
        distance = np.hypot(error[:, 0], error[:, 1])
        weights = 1.0 / (1.0 + (distance / scale_px) ** 2)
        normal = terms.T @ (weights[:, None] * terms) + ridge
        normal[0, 0] += 1e-12
        residual = np.linalg.solve(normal, terms.T @ (weights[:, None] * target)).T
    return residual


def _correct(
    problem: Problem,
    start: Fit,
    build: Callable[[Transform, np.ndarray, np.ndarray, float], Transform],
) -> Fit:
    """Fit the correction to the residuals of the base.

    A curved retina leaves the homography's inliers a few pixels off in the periphery;
    each round uses the pairs that the round before explains. With too few pairs the
    base is kept, written with a correction of 0.
    """
    if start.transform is None:
        return start
    chosen = start.inliers if start.inliers.any() else np.ones(len(problem.fixed), bool)
    center, scale = correction_frame(problem.fixed[chosen])
    unchanged = Fit(
        build(start.transform, np.zeros((2, 6)), center, scale), start.inliers
    )
    if start.inliers.sum() < MIN_QUADRATIC:
        return unchanged
    mapped = start.transform.apply(problem.moving)
    terms = monomials((mapped - center) / scale)
    target = problem.fixed - mapped
    finite = np.isfinite(target).all(axis=1)
    use, residual = start.inliers & finite, np.zeros((2, 6))
    for reach, width in zip(_REACH, _SCALES, strict=True):
        residual = reweighted_ridge(
            terms[use],
            target[use],
            residual,
            width * problem.threshold_px,
            _EXPECTED * problem.threshold_px,
        )
        error = target - terms @ residual.T
        distance = np.where(finite, np.hypot(error[:, 0], error[:, 1]), np.inf)
        use = distance <= reach * problem.threshold_px
        if use.sum() < MIN_QUADRATIC:
            return unchanged
    return Fit(build(start.transform, residual, center, scale), use)


def fit_quadratic(problem: Problem) -> Fit:
    """Fit a homography, then a quadratic correction."""
    return _correct(
        problem,
        fit_homography(problem),
        lambda base, *shift: Quadratic(base.matrix, *shift),
    )


def fit_radial_quadratic(problem: Problem) -> Fit:
    """Fit a radial homography, then a quadratic correction."""
    return _correct(problem, fit_radial(problem), RadialQuadratic)

"""A thin-plate correction whose smoothing generalized cross-validation chooses.

Not `scipy.interpolate.RBFInterpolator`: it has neither weights for a robust fit nor a
search for the smoothing.
"""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.fitting.problem import Fit, Problem
from rkd_jax.registration.fitting.projective import fit_homography, fit_radial
from rkd_jax.registration.fitting.quadratic import correction_frame
from rkd_jax.registration.fitting.spread import spread_out
from rkd_jax.registration.transforms import ThinPlate
from rkd_jax.registration.transforms.thin_plate import thin_plate_terms

MIN_THIN_PLATE = 30  # with fewer points no local correction is fitted
_KNOTS = 32
_SMOOTHING = np.logspace(-7, 2, 19)  # penalties tried, times the sum of the weights
_REACH = (2.0, 1.5, 1.0)  # of each round, in inlier thresholds
_SCALE = 0.4


class _Spline:
    """A penalized regression on the thin-plate terms of fixed knots."""

    def __init__(self, points: np.ndarray, knots: np.ndarray) -> None:
        between = thin_plate_terms(knots, knots)
        bending, linear = between[:, :-3], between[:, -3:]
        # Weights that are orthogonal to every plane have a finite bending energy.
        null = np.linalg.qr(linear, mode="complete")[0][:, 3:]
        self._null = null
        terms = thin_plate_terms(points, knots)
        self.design = np.concatenate([terms[:, :-3] @ null, terms[:, -3:]], axis=1)
        size = self.design.shape[1]
        self.penalty = np.zeros((size, size))
        energy = null.T @ bending @ null
        self.penalty[:-3, :-3] = 0.5 * (energy + energy.T)

    def weights(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the `[2, K + 3]` weights of `ThinPlate`."""
        return np.concatenate(
            [self._null @ coefficients[:-3], coefficients[-3:]], axis=0
        ).T

    def solve(self, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return coefficients `[p, 2]` of the smoothing with the best score.

        In the basis that makes the normal matrix the identity and the penalty
        diagonal (Demmler and Reinsch), every smoothing costs a division.
        """
        weighted = self.design * weight[:, None]
        normal = weighted.T @ self.design
        normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal)
        root = np.linalg.cholesky(normal)
        half = np.linalg.solve(root, self.penalty)
        energy, basis = np.linalg.eigh(np.linalg.solve(root, half.T))
        basis = np.linalg.solve(root.T, basis)
        seen = basis.T @ (weighted.T @ target)
        total = float(weight.sum())
        kept = 1.0 / (1.0 + total * _SMOOTHING[:, None] * np.maximum(energy, 0.0))
        explained = (kept * (2.0 - kept)) @ np.sum(seen**2, axis=1)
        left = np.maximum(np.sum(weight[:, None] * target**2) - explained, 0.0)
        freedom = np.minimum(kept.sum(axis=1), 0.99 * total)
        best = kept[np.argmin(left / (total - freedom) ** 2)]
        return basis @ (best[:, None] * seen)


def fit_thin_plate(problem: Problem) -> Fit:
    """Fit a (radial) homography, then a smoothing thin-plate spline to its residuals.

    At most 32 knots far from each other; Cauchy weights; the smoothing is the one with
    the least generalized cross-validation score (Craven and Wahba 1979).
    """
    curved = problem.frames is not None
    start = fit_radial(problem) if curved else fit_homography(problem)
    if start.transform is None:
        return start
    chosen = start.inliers if start.inliers.any() else np.ones(len(problem.fixed), bool)
    center, scale = correction_frame(problem.fixed[chosen])
    flat = ThinPlate(start.transform, np.zeros((0, 2)), np.zeros((2, 3)), center, scale)
    mapped = start.transform.apply(problem.moving)
    target = problem.fixed - mapped
    finite = np.isfinite(target).all(axis=1)
    use = start.inliers & finite
    if use.sum() < MIN_THIN_PLATE:
        return Fit(flat, start.inliers)
    places = np.where(finite[:, None], (mapped - center) / scale, 0.0)
    knots = places[use][spread_out(places[use], _KNOTS)]
    spline = _Spline(places, knots)
    error = target
    coefficients = np.zeros((spline.design.shape[1], 2))
    for reach in _REACH:
        distance = np.where(finite, np.hypot(error[:, 0], error[:, 1]), np.inf)
        use = distance <= reach * problem.threshold_px
        if use.sum() < MIN_THIN_PLATE:
            return Fit(flat, start.inliers)
        weight = use / (1.0 + (distance / (_SCALE * problem.threshold_px)) ** 2)
        clean = np.where(use[:, None], target, 0.0)
        coefficients = spline.solve(clean, weight)
        error = target - spline.design @ coefficients
    distance = np.where(finite, np.hypot(error[:, 0], error[:, 1]), np.inf)
    transform = ThinPlate(
        start.transform, knots, spline.weights(coefficients), center, scale
    )
    return Fit(transform, distance <= problem.threshold_px)

"""Robust fitting of a transform to point pairs: one table of families.

A pair that cannot be fitted is a result, not an exception: `Fit.transform` is
None and `Fit.reason` says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from rkd_jax.matching.transforms import Homography, Quadratic, Transform, monomials

ESTIMATORS = {"magsac": cv2.USAC_MAGSAC, "lmeds": cv2.LMEDS}

_SEED = 20230720
_MAX_ITERATIONS = 10_000
_CONFIDENCE = 0.9999
_RIDGE = 3e-3  # times the number of points, on all terms but the constant
_MIN_QUADRATIC = 12  # points that a correction of 2 x 6 parameters needs at least


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A fitted transform, or the reason why there is none.

    Attributes:
        transform: moving to fixed; None if nothing could be fitted.
        inliers: `[M]` bool, the pairs that the estimator kept.
        reason: empty on success.
    """

    transform: Transform | None
    inliers: np.ndarray
    reason: str = ""


def residuals(
    transform: Transform, points_moving: np.ndarray, points_fixed: np.ndarray
) -> np.ndarray:
    """Return distances `[M]` in the fixed image; infinite where undefined."""
    error = transform.apply(points_moving) - np.asarray(points_fixed, np.float64)
    distance = np.hypot(error[..., 0], error[..., 1])
    return np.where(np.isfinite(distance), distance, np.inf)


def _degenerate(points: np.ndarray) -> str:
    """Return why a set of points `[N, 2]` fixes no homography, or an empty text."""
    distinct = np.unique(points, axis=0)
    if len(distinct) < 4:
        return f"{len(distinct)} distinct points, at least 4 are needed"
    spread = np.linalg.svd(distinct - distinct.mean(axis=0), compute_uv=False)
    if spread[1] <= 1e-6 * spread[0]:
        return "all points lie on one line"
    return ""


def _fit_homography(
    moving: np.ndarray, fixed: np.ndarray, estimator: str, threshold_px: float
) -> Fit:
    """Fit a homography with OpenCV, float64, the same on every run."""
    cv2.setRNGSeed(_SEED)
    nothing = np.zeros(len(moving), bool)
    try:
        matrix, mask = cv2.findHomography(
            moving,
            fixed,
            ESTIMATORS[estimator],
            threshold_px,
            maxIters=_MAX_ITERATIONS,
            confidence=_CONFIDENCE,
        )
    except cv2.error as error:
        return Fit(None, nothing, f"OpenCV could not fit a homography ({error.err})")
    if matrix is None or mask is None or not np.all(np.isfinite(matrix)):
        return Fit(None, nothing, "no homography agrees with 4 matches or more")
    inliers = mask.ravel().astype(bool)
    if inliers.sum() < 4:
        return Fit(None, inliers, "no homography agrees with 4 matches or more")
    extent = max(1.0, np.abs(moving).max(), np.abs(fixed).max())
    units = np.diag([1 / extent, 1 / extent, 1.0])
    if np.linalg.cond(units @ matrix @ np.linalg.inv(units)) > 1e8:
        return Fit(None, inliers, "the homography is singular")
    return Fit(Homography(matrix), inliers)


def _fit_quadratic(
    moving: np.ndarray, fixed: np.ndarray, estimator: str, threshold_px: float
) -> Fit:
    """Fit a homography, then a quadratic correction by Cauchy-weighted ridge.

    A curved retina leaves the homography's inliers a few pixels off in the
    periphery; each round takes in the pairs that the last one explains.
    """
    start = _fit_homography(moving, fixed, estimator, threshold_px)
    if start.transform is None or start.inliers.sum() < _MIN_QUADRATIC:
        return _as_quadratic(start, fixed)
    mapped = start.transform.apply(moving)
    center = fixed[start.inliers].mean(axis=0)
    scale = max(1.0, np.abs(fixed[start.inliers] - center).max())
    terms = monomials((mapped - center) / scale)
    target = fixed - mapped
    finite = np.isfinite(target).all(axis=1)
    use, residual = start.inliers & finite, np.zeros((2, 6))
    for reach in (3.0, 2.0, 1.5, 1.0):
        residual = _reweighted_ridge(terms[use], target[use], residual, threshold_px)
        error = target - terms @ residual.T
        distance = np.where(finite, np.hypot(error[:, 0], error[:, 1]), np.inf)
        use = distance <= reach * threshold_px
        if use.sum() < _MIN_QUADRATIC:
            return _as_quadratic(start, fixed)
    return Fit(Quadratic(start.transform.matrix, residual, center, scale), use)


def _as_quadratic(fit: Fit, fixed: np.ndarray) -> Fit:
    """Write a homography as a quadratic without correction: too few points for one."""
    if fit.transform is None:
        return fit
    center = fixed[fit.inliers].mean(axis=0)
    scale = max(1.0, np.abs(fixed[fit.inliers] - center).max())
    transform = Quadratic(fit.transform.matrix, np.zeros((2, 6)), center, scale)
    return Fit(transform, fit.inliers)


def _reweighted_ridge(
    terms: np.ndarray, target: np.ndarray, start: np.ndarray, threshold_px: float
) -> np.ndarray:
    """Solve target `[N, 2]` ~ terms `[N, 6]` by iteratively reweighted ridge.

    Cauchy weights 1 / (1 + (error / c)^2) with c half the inlier threshold.
    """
    ridge = _RIDGE * len(terms) * np.diag([0.0, 1, 1, 1, 1, 1])
    residual = start
    for _ in range(10):
        error = target - terms @ residual.T
        distance = np.hypot(error[:, 0], error[:, 1])
        weights = 1.0 / (1.0 + (2.0 * distance / threshold_px) ** 2)
        normal = terms.T @ (weights[:, None] * terms) + ridge
        normal[0, 0] += 1e-12
        residual = np.linalg.solve(normal, terms.T @ (weights[:, None] * target)).T
    return residual


FAMILIES: dict[str, Callable[[np.ndarray, np.ndarray, str, float], Fit]] = {
    "homography": _fit_homography,
    "quadratic": _fit_quadratic,
}


def fit(
    points_moving: np.ndarray,
    points_fixed: np.ndarray,
    *,
    family: str = "homography",
    estimator: str = "magsac",
    threshold_px: float = 3.0,
) -> Fit:
    """Fit a transform to point pairs of which some are wrong.

    Deterministic: the same points give the same transform on every run.

    Args:
        points_moving: `[M, 2]` (x, y) in pixels of the moving image.
        points_fixed: `[M, 2]` (x, y) in pixels of the fixed image.
        family: "homography" (8 parameters) or "quadratic" (and 12 more).
        estimator: "magsac" (OpenCV's USAC_MAGSAC) or "lmeds" (least median of
            squares, the choice of the FIRE papers; it needs more than half of
            the pairs to be right).
        threshold_px: inlier distance in the fixed image. "lmeds" takes no
            threshold for the homography; the quadratic correction does.

    Returns:
        `Fit`; its transform is None, with a reason, for fewer than four distinct
        finite pairs, points on one line and degenerate solutions.

    Raises:
        ValueError: for unknown names, a threshold that is not positive and
            shapes other than `[M, 2]`.

    Example:
        >>> moving = np.array([[0, 0], [9, 0], [0, 9], [9, 9], [3, 5]], float)
        >>> fit(moving, moving + [2, 1]).transform.apply([[4, 4]]).round(6).tolist()
        [[6.0, 5.0]]
        >>> fit(moving[:3], moving[:3]).reason
        '3 matches, at least 4 are needed'
    """
    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {sorted(FAMILIES)}, found {family}")
    if estimator not in ESTIMATORS:
        raise ValueError(
            f"estimator: expected one of {sorted(ESTIMATORS)}, found {estimator}"
        )
    if not threshold_px > 0:
        raise ValueError(f"threshold_px: expected more than 0, found {threshold_px}")
    moving = np.asarray(points_moving, np.float64)
    fixed = np.asarray(points_fixed, np.float64)
    if moving.ndim != 2 or moving.shape[1] != 2 or moving.shape != fixed.shape:
        raise ValueError(
            "points: expected two arrays of one shape [M, 2], found "
            f"{moving.shape} and {fixed.shape}"
        )
    finite = np.isfinite(moving).all(axis=1) & np.isfinite(fixed).all(axis=1)
    inliers = np.zeros(len(moving), bool)
    if finite.sum() < 4:
        return Fit(None, inliers, f"{finite.sum()} matches, at least 4 are needed")
    moving, fixed = moving[finite], fixed[finite]
    reason = _degenerate(moving) or _degenerate(fixed)
    if reason:
        return Fit(None, inliers, reason)
    result = FAMILIES[family](moving, fixed, estimator, float(threshold_px))
    inliers[finite] = result.inliers
    return dataclasses.replace(result, inliers=inliers)

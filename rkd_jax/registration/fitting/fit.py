"""Robust fitting of a transform to point pairs: one table of families.

A pair that cannot be fitted is a result, not an exception: `Fit.transform` is
None and `Fit.reason` says why.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rkd_jax.registration.families import AUTO, CHOICES
from rkd_jax.registration.families import FAMILIES as NAMES
from rkd_jax.registration.fitting.choice import Choice, Family, choose
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.estimate import ESTIMATORS
from rkd_jax.registration.fitting.problem import Fit, Problem, residuals
from rkd_jax.registration.fitting.projective import fit_homography, fit_radial
from rkd_jax.registration.fitting.quadratic import fit_quadratic, fit_radial_quadratic
from rkd_jax.registration.fitting.thin_plate import fit_thin_plate
from rkd_jax.registration.transforms import Frame, Transform

__all__ = ["AUTO", "CHOICES", "ESTIMATORS", "FAMILIES", "Fit", "fit", "residuals"]

_FITS = fit_homography, fit_radial, fit_quadratic, fit_radial_quadratic, fit_thin_plate
FAMILIES: Mapping[str, Family] = MappingProxyType(dict(zip(NAMES, _FITS, strict=True)))

_FLAT = ("homography", "quadratic")  # families that need no frames
LEAST = {
    "homography": 4,
    "radial": 27,
    "quadratic": 60,
    "radial_quadratic": 63,
    "thin_plate": 150,
}
"""Pairs that a family must have to be a candidate: three for each parameter."""


def _degenerate(points: np.ndarray) -> str:
    """Return why a set of points `[N, 2]` fixes no homography, or an empty text."""
    distinct = np.unique(points, axis=0)
    if len(distinct) < 4:
        return f"{len(distinct)} distinct points, at least 4 are needed"
    spread = np.linalg.svd(distinct - distinct.mean(axis=0), compute_uv=False)
    if spread[1] <= 1e-6 * spread[0]:
        return "all points lie on one line"
    return ""


def candidates(problem: Problem) -> tuple[str, ...]:
    """Return the families that can be fitted with what is known of the fields."""
    return tuple(FAMILIES) if problem.frames is not None else _FLAT


def choose_family(problem: Problem) -> Choice:
    """Choose among all families that a problem has frames and pairs for."""
    if problem.start is None:
        first = (fit_homography if problem.frames is None else fit_radial)(problem)
        if first.transform is None:
            return Choice("homography", {}, first)
        problem = dataclasses.replace(problem, start=first.transform)
    return choose(problem, {n: FAMILIES[n] for n in candidates(problem)}, LEAST)


def fit(
    points_moving: np.ndarray,
    points_fixed: np.ndarray,
    *,
    family: str = "homography",
    estimator: str = "magsac",
    threshold_px: float = 3.0,
    frames: tuple[Frame, Frame] | None = None,
    curvature: Curvature | None = None,
    start: Transform | None = None,
) -> Fit:
    """Fit a transform to point pairs of which some are wrong.

    Deterministic: the same points give the same transform on every run. The estimator
    gives a first homography; curved families are then refined by robust least squares
    with Cauchy weights. "homography" is the estimator's result.

    Args:
        points_moving: `[M, 2]` (x, y) in pixels of the moving image.
        points_fixed: `[M, 2]` (x, y) in pixels of the fixed image.
        family: "homography" (8 parameters), "radial" (and k), "quadratic" (homography
            and 12 more), "radial_quadratic", "thin_plate" (a smoothing spline on the
            radial homography), or "auto": the one that explains held-out pairs best
            (`rkd_jax.registration.fitting.choice`).
        estimator: "magsac" (OpenCV's USAC_MAGSAC) or "lmeds" (least median of
            squares, the choice of the FIRE papers; it needs more than half of
            the pairs to be right).
        threshold_px: inlier distance in the fixed image. "lmeds" takes no
            threshold for the homography; all later steps use it.
        frames: where the camera's field lies in the moving and in the fixed image.
            Radial families need them; without them "auto" chooses between homography
            and quadratic, and "thin_plate" corrects a homography.
        curvature: what is known of k; None: geometry only.
        start: a transform nearby: no estimator is run, all pairs are weighted by their
            distance from it, and every family is refined, "homography" too.

    Returns:
        `Fit`; its transform is None, with a reason, for fewer than four distinct
        finite pairs, points on one line and degenerate solutions.

    Raises:
        ValueError: for unknown names, a threshold that is not positive, a radial
            family without frames, and shapes other than `[M, 2]`.

    Example:
        >>> moving = np.array([[0, 0], [9, 0], [0, 9], [9, 9], [3, 5]], float)
        >>> fit(moving, moving + [2, 1]).transform.apply([[4, 4]]).round(6).tolist()
        [[6.0, 5.0]]
        >>> fit(moving[:3], moving[:3]).reason
        '3 matches, at least 4 are needed'
    """
    if family not in CHOICES:
        raise ValueError(f"family: expected one of {sorted(CHOICES)}, found {family}")
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
    problem = Problem(
        moving=moving,
        fixed=fixed,
        frames=frames,
        estimator=estimator,
        threshold_px=float(threshold_px),
        curvature=curvature or Curvature.prior(),
        start=start,
    )
    result = choose_family(problem).fit if family == AUTO else FAMILIES[family](problem)
    inliers[finite] = result.inliers
    return dataclasses.replace(result, inliers=inliers, threshold_px=threshold_px)

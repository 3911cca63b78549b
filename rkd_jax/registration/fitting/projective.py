"""Homography and radial homography: a first estimate, then robust least squares.

The refinement minimizes the negative log-likelihood of Cauchy noise in the plane,
1.5 * sum log(1 + |e|^2 / c^2), plus a Gaussian prior on k, by Levenberg-Marquardt with
the weights 1 / (1 + |e|^2 / c^2). It works in field coordinates, where all nine
parameters are of size one; e is measured in the fixed image, not in the flattened
plane.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rkd_jax.geometry.radial import bend, unbend
from rkd_jax.registration.fitting.estimate import estimate_homography
from rkd_jax.registration.fitting.problem import Fit, Problem, residuals
from rkd_jax.registration.transforms import Frame, Homography, Radial, Transform
from rkd_jax.registration.transforms.homography import project
from rkd_jax.registration.transforms.radial import MAX_CURVATURE

MIN_RADIAL = 12  # points that nine parameters need at least

# Cauchy scales of the rounds, in inlier thresholds: wide first, so that a start that
# is off at the rim still draws its points in.
FROM_ESTIMATE = (1.0, 0.65, 0.4)
FROM_START = (1.5, 0.65, 0.4)
FROM_NEARBY = (0.4,)
_STEPS = 12
_GRID = 7


def _frames(problem: Problem) -> tuple[Frame, Frame]:
    """Return the fields, or for plain homographies boxes of the points."""
    if problem.frames is not None:
        return problem.frames
    boxes = []
    for points in (problem.moving, problem.fixed):
        (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
        boxes.append(Frame.of_box((x0, y0, x1 + 1, y1 + 1)))
    return boxes[0], boxes[1]


def _estimate(problem: Problem, curvature: float) -> tuple[Radial | None, Fit]:
    """Estimate between flattened points, without a start."""
    moving_frame, fixed_frame = _frames(problem)
    flat = [
        frame.from_field(bend(frame.to_field(points), curvature))
        for frame, points in (
            (moving_frame, problem.moving),
            (fixed_frame, problem.fixed),
        )
    ]
    matrix, inliers, reason = estimate_homography(
        *flat, problem.estimator, problem.threshold_px
    )
    if matrix is None:
        return None, Fit(None, inliers, reason)
    in_fields = fixed_frame.matrix() @ matrix @ np.linalg.inv(moving_frame.matrix())
    radial = Radial(in_fields, curvature, moving_frame, fixed_frame)
    return radial, Fit(Homography(matrix), inliers)


def _like(start: Transform, problem: Problem, curvature: float) -> Radial | None:
    """Return the radial homography nearest to a transform where the points lie."""
    moving_frame, fixed_frame = _frames(problem)
    low, high = problem.moving.min(axis=0), problem.moving.max(axis=0)
    axes = [np.linspace(a, b, _GRID) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    mapped = start.apply(grid)
    usable = np.isfinite(mapped).all(axis=1)
    if usable.sum() < 4:
        return None
    u = bend(moving_frame.to_field(grid[usable]), curvature)
    v = bend(fixed_frame.to_field(mapped[usable]), curvature)
    matrix, _ = cv2.findHomography(u, v, 0)
    if matrix is None or not np.all(np.isfinite(matrix)):
        return None
    return Radial(matrix, curvature, moving_frame, fixed_frame)


def _terms(
    parameters: np.ndarray, u: np.ndarray, free_k: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Map field points `[N, 2]`; return them and derivatives `[N, 2, 8 (+ 1)]`.

    With q = bend(u), z = H q and w = unbend(z), the derivative of w is the
    inverse D of that of bend at w, times that of z; k moves both ends.
    """
    matrix, k = np.append(parameters[:8], 1.0).reshape(3, 3), parameters[8]
    q = bend(u, k)
    z = project(matrix, q)
    w = unbend(z, k)
    depth = q @ matrix[2, :2] + matrix[2, 2]
    near = np.sum(w * w, axis=1)
    # bend at w has the derivative (1 + k r^2) I + 2 k w w^T (Sherman-Morrison).
    a = 1.0 + k * near
    back = np.eye(2) / a[:, None, None] - (2.0 * k / (a * (a + 2.0 * k * near)))[
        :, None, None
    ] * (w[:, :, None] * w[:, None, :])
    q1 = np.concatenate([q, np.ones((len(q), 1))], axis=1) / depth[:, None]
    dz = np.zeros((len(u), 2, 8 + free_k))
    dz[:, 0, 0:3] = dz[:, 1, 3:6] = q1
    dz[:, :, 6:8] = -z[:, :, None] * q1[:, None, :2]
    if free_k:
        dq = u * np.sum(u * u, axis=1, keepdims=True)
        slope = matrix[None, :2, :2] - z[:, :, None] * matrix[None, 2:, :2]
        dz[:, :, 8] = np.einsum("nij,nj->ni", slope / depth[:, None, None], dq)
        dz[:, :, 8] -= w * near[:, None]
    return w, back @ dz


def refine(
    start: Radial,
    problem: Problem,
    *,
    curved: bool,
    scales: Sequence[float],
) -> Radial | None:
    """Refine a radial homography on all pairs by robust least squares.

    Args:
        start: where to begin; its curvature stays if it is not `curved`, or known.
        problem: pairs, threshold and what is known of k.
        curved: whether k is sought.
        scales: Cauchy scales of the rounds in inlier thresholds.

    Returns:
        The refined transform; None if the pairs fix none.
    """
    u = start.moving_frame.to_field(problem.moving)
    target = start.fixed_frame.to_field(problem.fixed)
    prior = problem.curvature
    free_k = curved and prior.sd > 0
    if abs(start.matrix[2, 2]) < 1e-9:
        return None
    parameters = np.append((start.matrix / start.matrix[2, 2]).ravel()[:8], 0.0)
    parameters[8] = start.curvature
    count = 8 + free_k

    def cost(parameters: np.ndarray, error: np.ndarray, unit: float) -> float:
        total = 1.5 * np.log1p(np.sum(error * error, axis=1) / unit**2).sum()
        if free_k:
            total += 0.5 * ((parameters[8] - prior.mean) / prior.sd) ** 2
        return float(total) if np.isfinite(total) else np.inf

    for scale in scales:
        unit = scale * problem.threshold_px / start.fixed_frame.radius
        damping = 1e-4
        w, jacobian = _terms(parameters, u, free_k)
        error = w - target
        now = cost(parameters, error, unit)
        if not np.isfinite(now):
            return None
        for _ in range(_STEPS):
            weight = 3.0 / (unit**2 + np.sum(error * error, axis=1))
            flat = jacobian.reshape(-1, count)
            weighted = flat * np.repeat(weight, 2)[:, None]
            normal = weighted.T @ flat
            slope = weighted.T @ error.ravel()
            if free_k:
                normal[8, 8] += 1.0 / prior.sd**2
                slope[8] += (parameters[8] - prior.mean) / prior.sd**2
            ridge = damping * np.diag(normal).copy() + 1e-12
            step = np.linalg.solve(normal + np.diag(ridge), slope)
            new = parameters.copy()
            new[:count] -= step
            new[8] = np.clip(new[8], 0.0, MAX_CURVATURE)
            w, new_jacobian = _terms(new, u, free_k)
            after = cost(new, w - target, unit)
            if after > now:
                damping = min(damping * 10.0, 1e6)
                continue
            damping = max(damping / 10.0, 1e-9)
            gain, now = now - after, after
            parameters, error, jacobian = new, w - target, new_jacobian
            if gain < 1e-6 * max(now, 1.0):
                break
    matrix = np.append(parameters[:8], 1.0).reshape(3, 3)
    if not np.all(np.isfinite(matrix)) or np.linalg.cond(matrix) > 1e8:
        return None
    return Radial(matrix, float(parameters[8]), start.moving_frame, start.fixed_frame)


def curvature_error(radial: Radial, problem: Problem) -> float:
    """Return the standard deviation of k that the pairs alone leave, or infinity.

    From the normal matrix of the last round of `refine`, the other eight parameters
    being free as well: two views that differ by no turn of the eye say nothing of k.
    """
    u = radial.moving_frame.to_field(problem.moving)
    parameters = np.append((radial.matrix / radial.matrix[2, 2]).ravel()[:8], 0.0)
    parameters[8] = radial.curvature
    w, jacobian = _terms(parameters, u, True)
    error = np.sum((w - radial.fixed_frame.to_field(problem.fixed)) ** 2, axis=1)
    unit = FROM_NEARBY[-1] * problem.threshold_px / radial.fixed_frame.radius
    flat = jacobian.reshape(-1, 9)
    normal = (flat * np.repeat(3.0 / (unit**2 + error), 2)[:, None]).T @ flat
    if np.linalg.cond(normal) > 1e14:
        return np.inf
    return float(np.sqrt(np.linalg.inv(normal)[8, 8]))


def _finish(problem: Problem, transform: Transform | None) -> Fit:
    """Tell the inliers of a refined transform."""
    if transform is None:
        nothing = np.zeros(len(problem.moving), bool)
        return Fit(None, nothing, "no homography agrees with 4 matches or more")
    distance = residuals(transform, problem.moving, problem.fixed)
    return Fit(transform, distance <= problem.threshold_px)


def fit_homography(problem: Problem) -> Fit:
    """Fit a homography: the estimator's as it is, or a start refined."""
    if problem.start is None:
        matrix, inliers, reason = estimate_homography(
            problem.moving, problem.fixed, problem.estimator, problem.threshold_px
        )
        transform = None if matrix is None else Homography(matrix)
        return Fit(transform, inliers, reason)
    near = _like(problem.start, problem, 0.0)
    if near is not None:
        scales = FROM_NEARBY if problem.near else FROM_START
        near = refine(near, problem, curved=False, scales=scales)
    return _finish(problem, None if near is None else near.projective())


def fit_radial(problem: Problem) -> Fit:
    """Fit a radial homography with k between the prior and what the pairs say.

    Fewer than 12 inliers say nothing about k: the prior's mean stands.
    """
    if problem.frames is None:
        raise ValueError(
            "family: a radial one needs `frames`, where the camera's field lies in the "
            "moving and the fixed image (rkd_jax.registration.transforms.Frame)"
        )
    expected = min(problem.curvature.mean, MAX_CURVATURE)
    if problem.start is None:
        near, first = _estimate(problem, expected)
        if near is None:
            return first
        scales, supported = FROM_ESTIMATE, int(first.inliers.sum())
    else:
        known = getattr(problem.start, "curvature", expected)
        near = _like(problem.start, problem, known)
        if near is None:
            return _finish(problem, None)
        scales = FROM_NEARBY if problem.near else FROM_START
        distance = residuals(near, problem.moving, problem.fixed)
        supported = int((distance <= 2.0 * problem.threshold_px).sum())
    if supported < MIN_RADIAL:
        return _finish(problem, near)
    return _finish(problem, refine(near, problem, curved=True, scales=scales))

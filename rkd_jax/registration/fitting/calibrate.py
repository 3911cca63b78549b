"""One camera, one k: the curvature estimated from all pairs of a series."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.fit import ESTIMATORS, fit
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.fitting.projective import curvature_error
from rkd_jax.registration.result import Registration

# Eyes differ in length and refraction by some tenths, and so does k between the eyes
# of one camera. No pair is weighted as more exact than this, whatever its matches.
_BETWEEN_EYES = 0.02
_THRESHOLD_FRAC = 3.0 / 768.0  # of the field's width
_ROUNDS = 20


def curvature_of(registration: Registration) -> tuple[float, float] | None:
    """Estimate k from the inliers of one registration.

    Returns:
        k and its standard deviation by this pair alone (no prior); None where the pair
        is not registered or does not fix k.
    """
    if not registration.ok or registration.frames is None:
        return None
    kept = registration.inliers
    moving = registration.matches.points_moving[kept]
    fixed = registration.matches.points_fixed[kept]
    threshold = _THRESHOLD_FRAC * 2.0 * registration.frames[1].radius
    unsure = Curvature(Curvature.prior().mean, 1.0, "no prior")
    found = fit(
        moving,
        fixed,
        family="radial",
        threshold_px=threshold,
        frames=registration.frames,
        curvature=unsure,
        start=registration.transform,
    ).transform
    if found is None:
        return None
    problem = Problem(
        moving,
        fixed,
        registration.frames,
        next(iter(ESTIMATORS)),
        threshold,
        unsure,
    )
    error = curvature_error(found, problem)
    return (found.curvature, error) if np.isfinite(error) else None


def combine(
    estimates: Sequence[tuple[float, float]], prior: Curvature | None = None
) -> Curvature:
    """Combine estimates of one k: a mean that single wrong pairs do not move.

    Each estimate has the weight 1 / (sd^2 + .02^2); the second term is the variation of
    k between eyes. The prior is one more estimate. Estimates far from the mean lose
    weight as under Cauchy noise. The result is used as given: its `sd` is 0.

    Args:
        estimates: (k, standard deviation) of each pair.
        prior: None takes that of any camera.

    Example:
        >>> k = combine([(0.12, 0.01), (0.11, 0.02), (0.12, 0.01), (0.5, 0.01)])
        >>> round(k.mean, 2), k.sd
        (0.12, 0.0)
    """
    prior = Curvature.prior() if prior is None else prior
    rows = np.array([*estimates, (prior.mean, prior.sd)], np.float64)
    spread = np.hypot(rows[:, 1], _BETWEEN_EYES)
    mean = float(np.median(rows[:, 0]))
    for _ in range(_ROUNDS):
        doubt = 1.0 + ((rows[:, 0] - mean) / spread) ** 2
        weight = 1.0 / (spread**2 * doubt)
        mean = float(np.sum(weight * rows[:, 0]) / weight.sum())
    return Curvature(max(mean, 0.0), 0.0, f"one camera, {len(estimates)} pairs")


def calibrate(
    registrations: Iterable[Registration], prior: Curvature | None = None
) -> Curvature:
    """Estimate the k of a camera from pairs that it took.

    The first of two stages: register the pairs without a known curvature, pass the
    results to this function, and register the pairs again with `curvature=` its result.
    Only matches are used, no landmarks; but each pair's result then depends on the
    other pairs.

    Args:
        registrations: results, in any family; those that are not `ok` are skipped.
        prior: what was known before; None: geometry only.

    Returns:
        The curvature to register with; the prior's mean where no pair fixes k.
    """
    estimates = [curvature_of(registration) for registration in registrations]
    return combine([e for e in estimates if e is not None], prior)

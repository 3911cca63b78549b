"""Guided matching: fit, match again near where the fit puts each point, fit anew."""

from __future__ import annotations

from collections.abc import Callable

from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.fit import AUTO, Fit, fit
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.matching.refine import PatchRefiner
from rkd_jax.registration.transforms import Transform

# Of each round: the search radius, and the inlier threshold, in pixels of a 768-pixel
# working image. The Cauchy scales of the fits are .4 of the thresholds: 2, 1.5, 1.2.
ROUNDS = ((16.0, 5.0), (6.0, 3.75), (4.0, 3.0))
_STAGES = {  # family asked for -> of the first fit, of the rounds
    "homography": ("homography", "homography"),
    "radial": ("radial", "radial"),
    "quadratic": ("homography", "quadratic"),
    "radial_quadratic": ("radial", "radial_quadratic"),
    "thin_plate": ("radial", "radial_quadratic"),
    AUTO: ("radial", "radial_quadratic"),
}
# The same of the fit to refined points, which lie a tenth of a pixel off.
_ALIGNED = 1.5
_LEAST = 8  # matches without which a round is not worth fitting


def _fitter(
    pair: Pair, estimator: str, curvature: Curvature | None
) -> Callable[..., Fit]:
    """Return a function that fits matches of a pair; thresholds in working pixels."""

    def run(
        matches: Matches,
        family: str,
        threshold_px: float,
        start: Transform | None = None,
    ) -> Fit:
        return fit(
            matches.points_moving,
            matches.points_fixed,
            family=family,
            estimator=estimator,
            threshold_px=threshold_px / pair.fixed.mean_scale,
            frames=pair.frames,
            curvature=curvature,
            start=start,
        )

    return run


def fit_pair(
    pair: Pair,
    free: Matches,
    *,
    family: str,
    estimator: str,
    guided: bool,
    curvature: Curvature | None = None,
) -> tuple[Fit, Matches]:
    """Fit a family to a pair.

    Args:
        pair: keypoints of both images.
        free: its matches by descriptors alone.
        family: a key of `rkd_jax.registration.fitting.fit.CHOICES`.
        estimator: a key of `rkd_jax.registration.fitting.fit.ESTIMATORS`.
        guided: match in three more rounds within 16, 6 and 4 px of where the fit so
            far puts each point, which finds matches that the ratio test has to drop.
            With `pair.options.align` these matches are then moved to finer places
            (`matching.refine.PatchRefiner`).
        curvature: what is known of k.

    Returns:
        The fit, and the matches it was made from. A round with too few matches, or
        without a fit, keeps the result of the round before.
    """
    run = _fitter(pair, estimator, curvature)
    threshold = pair.options.threshold_px
    first, later = _STAGES[family]
    result, matches = run(free, first if guided else family, threshold), free
    pair.calibrate_similarity(free.similarity[result.inliers])
    if not guided:
        return result, matches
    unit = pair.unit
    for radius, limit in ROUNDS:
        if result.transform is None:
            return result, matches
        near = pair.match_near(result.transform, radius * unit)
        if len(near) < _LEAST:
            break
        again = run(near, later, limit * unit, result.transform)
        if again.transform is None:
            break
        result, matches = again, near
    if pair.options.align and result.transform is not None:
        refine = PatchRefiner(pair.fixed, pair.moving)
        matches, threshold = refine(matches, result.transform), _ALIGNED * unit
        again = run(matches, later, threshold, result.transform)
        if again.transform is not None:
            result = again
    if result.transform is not None and result.transform.family != family:
        last = run(matches, family, threshold, result.transform)
        if last.transform is not None:
            result = last
    return result, matches

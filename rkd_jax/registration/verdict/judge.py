"""The judgement: whether the evidence is enough to accept a fit."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rkd_jax.registration.fitting.fit import Fit
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.result import Registration
from rkd_jax.registration.verdict.confidence import ConfidenceModel, packaged_model
from rkd_jax.registration.verdict.evidence import implausible

_MIN_SUPPORT = 8  # matches; four of them fit any homography
_MIN_CONFIDENCE = 0.5
_RANDOM_PX = 2.5  # points strewn at random within 4 px lie 2.8 px off (median)
_SURPLUS = 20.0  # times as many as by chance must lie so: made pairs had 36 and more
# What else a refused pair may lack; in the order in which the reason names it.
_LITTLE_COVERAGE_FRAC = 0.03  # of the overlap, by the hull of the supporting points
_CHANCE_DEVIATIONS = 2.0  # of a count: a smaller surplus may be chance


def judge(
    fit: Fit,
    matches: Matches,
    evidence: Mapping[str, float],
    pair: Pair,
    *,
    model: ConfidenceModel | None = None,
) -> Registration:
    """Decide whether to accept a fit.

    A fit of random matches also has a matrix and a few inliers. A fit is accepted if

    - where it is supported, and wherever both fields show the eye, it keeps the
      orientation, scales by less than 3 and stretches one axis by less than 2 against
      the other, and so does its projective part at the corners of the moving image
      (scales are between the working images; photographs that the search has brought
      to one scale, `rkd_jax.registration.search.rectify`, are judged at that scale);
    - at least 8 of the matches by descriptors alone lie within 4 px (all pixels are of
      a 768-pixel working image): with fewer, different eyes come near one half, and
      no made pair of one eye has fewer and a confidence above one half;
    - where the matches found near it lie as far off as at random (median above 2.5 px,
      as in blurred photographs), they are at least 20 times as many as by chance: a
      pair of different eyes had 8 times as many, made pairs of one eye 36 times;
    - its confidence is at least one half.

    The confidence is the probability that the registration is right, by a logistic
    model of the evidence: number and share of the supporting matches, matches found
    near it against those found beside it, their distance, coverage, and how well a fit
    in the other direction agrees (`verdict.confidence`). An implausible
    transform has confidence 0. Nothing else overrules the confidence: see
    docs/registration.md for what such limits did on made pairs.

    Args:
        fit: result of `fitting.fit.fit`.
        matches: the points that were fitted.
        evidence: what `verdict.evidence.gather` measured of the fit; empty
            without a transform.
        pair: the photographs.
        model: None takes the packaged one.

    Returns:
        The result; `reason` is empty if the fit is accepted.
    """
    confidence, reason = 0.0, fit.reason
    if fit.transform is not None:
        model = packaged_model() if model is None else model
        supporting = matches.points_moving[fit.inliers]
        if len(supporting) < 4:
            supporting = matches.points_moving
        reason = implausible(fit.transform, supporting, pair)
        if not reason:
            confidence = model.probability(evidence)
            reason = _doubt(evidence, confidence)
    share = float(fit.inliers.mean()) if len(fit.inliers) else 0.0
    return Registration(
        ok=fit.transform is not None and not reason,
        reason=reason,
        transform=fit.transform,
        matches=matches,
        inliers=fit.inliers,
        confidence=confidence,
        evidence={**evidence, "inlier_ratio": share},
        fixed_size=tuple(pair.fixed.file_size),
        moving_size=tuple(pair.moving.file_size),
        frames=pair.frames,
        threshold_px=fit.threshold_px,
        scale=pair.fixed_scale,
    )


def _doubt(evidence: Mapping[str, float], confidence: float) -> str:
    """Return which evidence a pair lacks, or an empty text if it is accepted."""
    count, covered = int(evidence["support"]), evidence["coverage"]
    if count < _MIN_SUPPORT:
        return f"{count} matches agree, at least {_MIN_SUPPORT} must"
    near, chance = evidence["near"], evidence["near_by_chance"]
    off = evidence["near_error_px"]
    if off > _RANDOM_PX and near < _SURPLUS * (chance + 1.0):
        return (
            f"similar points lie {off:.1f} px from where they should, as at random, "
            f"and are only {near:.0f} against {chance:.0f} by chance"
        )
    if confidence >= _MIN_CONFIDENCE:
        return ""
    sure = f"(confidence {confidence:.2f})"
    if covered < _LITTLE_COVERAGE_FRAC:
        return f"the matches that agree cover {covered:.1%} of the overlap {sure}"
    if near - chance <= _CHANCE_DEVIATIONS * math.sqrt(chance + 1.0):
        return (
            f"{near:.0f} similar points lie where they should against {chance:.0f} by "
            f"chance {sure}"
        )
    return (
        f"the evidence is weak {sure}: {count} matches "
        f"agree, {near:.0f} lie where they should against {chance:.0f} by chance, "
        f"there and back is off by {evidence['asymmetry_px']:.1f} px"
    )

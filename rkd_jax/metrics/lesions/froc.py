"""FROC: share of the lesions that are found, by false positives an image.

A *candidate* is a connected part of the map above a low threshold; its score is its
largest probability. At a threshold the candidates of this score or more count. A
lesion is found if such a candidate overlaps it, by one pixel or more; several
candidates on one lesion count once, and one candidate finds all lesions that it
overlaps. A candidate that overlaps no lesion is a false positive.

What differs from the literature: candidates keep their extent at every threshold (other
evaluations label the map anew); a hit is any overlap (others ask for the center of the
candidate inside the lesion, a distance, or a share of overlap); sensitivity at a rate
is that of the lowest threshold with at most so many false positives an image, not
interpolated between two thresholds (LUNA16 interpolates); photographs without lesions
count as images. So a map that is above the low threshold everywhere has one candidate
that finds every lesion, with sensitivity 1: read it beside the scores of pixels, and
choose a low threshold that parts the lesions. The rates 1/8 to 8 and their mean are
those of LUNA16.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from rkd_jax.metrics.lesions.curves import LEVELS, ScoreCurve

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives an image."""


@dataclasses.dataclass(frozen=True, eq=False)
class Detections:
    """What the candidates of one photograph find.

    Attributes:
        lesions: uint16 `[M]`, for each lesion the level of its best candidate; 0 if no
            candidate overlaps it.
        false: uint16 `[F]`, levels of the candidates that overlap no lesion.
    """

    lesions: np.ndarray
    false: np.ndarray


def detections(
    levels: np.ndarray, candidates: np.ndarray, lesions: np.ndarray
) -> Detections:
    """Match the candidates of a photograph with its lesions.

    Args:
        levels: uint16 `[H, W]`, above 0 in all candidates.
        candidates: int `[H, W]`, 0 outside, else the number of the candidate, from 1
            without gaps.
        lesions: likewise.

    >>> map_, parts = np.uint16([[5, 9, 0, 7]]), np.array([[1, 1, 0, 2]])
    >>> found = detections(map_, parts, np.array([[1, 0, 2, 0]]))
    >>> found.lesions.tolist(), found.false.tolist()
    ([9, 0], [7])
    """
    inside = np.flatnonzero(candidates)
    candidate, lesion = candidates.ravel()[inside], lesions.ravel()[inside]
    score = np.zeros(int(candidates.max(initial=0)) + 1, np.uint16)
    np.maximum.at(score, candidate, levels.ravel()[inside])
    candidate, lesion = candidate[lesion > 0], lesion[lesion > 0]
    best = np.zeros(int(lesions.max(initial=0)) + 1, np.uint16)
    np.maximum.at(best, lesion, score[candidate])
    false = np.ones(len(score), bool)
    false[candidate] = False
    return Detections(best[1:], score[1:][false[1:]])


def detection_curve(photographs: Sequence[Detections]) -> ScoreCurve:
    """Return the counts of lesions found and of false positives, a row a photograph.

    Args:
        photographs: at least one.
    """
    found = [d.lesions[d.lesions > 0] for d in photographs]
    counts = (
        np.stack([np.bincount(v, minlength=LEVELS) for v in values])
        for values in (found, [d.false for d in photographs])
    )
    return ScoreCurve.of(*counts, total=np.array([d.lesions.size for d in photographs]))


def sensitivities(
    curve: ScoreCurve, images: int, *, rates: Sequence[float] = RATES
) -> np.ndarray:
    """Return the share of lesions found at some rates of false positives.

    Args:
        curve: of `detection_curve`, photographs together; any leading dimensions.
        images: number of photographs.
        rates: false positives an image.

    Returns:
        `[..., len(rates)]`; NaN without lesions. A map that never has so many false
        positives gives what it finds at its lowest threshold.

    >>> one = Detections(np.uint16([900, 300]), np.uint16([600]))
    >>> curve = detection_curve([one]).together()
    >>> sensitivities(curve, 1, rates=(0.5, 1.0)).tolist()
    [0.5, 1.0]
    """
    found = [
        np.take_along_axis(
            curve.found,
            # Falling by level: the number of levels with more is the first with less.
            (curve.wrong > rate * images).sum(axis=-1, keepdims=True),
            axis=-1,
        )[..., 0]
        for rate in rates
    ]
    total = np.where(curve.total > 0, curve.total, np.nan)
    return np.stack(found, axis=-1) / total[..., None]

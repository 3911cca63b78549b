"""Scores of the pixels of all photographs together.

All take a `ScoreCurve` of pixels with any leading dimensions, and return arrays of
these: one curve gives one number, the curves of a bootstrap a number a draw. What has
no value is NaN.
"""

from __future__ import annotations

import numpy as np

from rkd_jax.metrics.lesions.curves import (
    LEVELS,
    ScoreCurve,
    first_above,
    first_from,
    to_scores,
)


def average_precision(curve: ScoreCurve) -> np.ndarray:
    """Return the area below the precision-recall curve, as a step sum.

    The sum over all distinct scores of (gain in recall) x (precision), as
    `sklearn.metrics.average_precision_score`, whose numbers these are.

    Args:
        curve: of pixels.

    Returns:
        `[...]` in 0..1; NaN without lesion pixels.

    >>> from rkd_jax.metrics.lesions.curves import count_pixels
    >>> levels, lesion = np.uint16([1, 2, 3]), np.array([True, False, True])
    >>> float(average_precision(ScoreCurve.of(*count_pixels(levels, lesion))).round(4))
    0.8333
    """
    gain = curve.found[..., :-1] - curve.found[..., 1:]
    everything = curve.found + curve.wrong
    precision = curve.found / np.maximum(everything, 1.0)
    return _ratio(np.einsum("...k,...k->...", gain, precision[..., :-1]), curve.total)


def aupr(curve: ScoreCurve, *, levels: int = 11) -> np.ndarray:
    """Return the area below a precision-recall curve of few thresholds.

    Thresholds 0, 1 / (levels - 1), ..., 1; a pixel counts as found if its score is
    above the threshold; the precision of an empty prediction is 1; the area between
    neighbors is a trapezoid over recall. With 11 levels it is `aupr_11`, as the IDRiD
    challenge ranks.

    The area is no estimate of `average_precision`: it depends on where the scores lie,
    since most pixels of a small lesion score below the first thresholds or above the
    last, and a trapezoid of few points lies above the curve.

    Args:
        curve: of pixels.
        levels: number of thresholds, at least 2.

    Returns:
        `[...]` in 0..1; NaN without lesion pixels.

    Source: IDRiD challenge 2018, as public evaluation code of later papers has it.

    >>> from rkd_jax.metrics.lesions.curves import count_pixels
    >>> levels = np.uint16([28700, 29300])  # scores of 0.07 and 0.1
    >>> curve = ScoreCurve.of(*count_pixels(levels, np.arange(2) > 0))
    >>> [float(aupr(curve, levels=n)) for n in (11, 33)]
    [0.75, 1.0]
    """
    at = [first_above(i / (levels - 1)) for i in range(levels)]
    found, wrong = curve.found[..., at], curve.wrong[..., at]
    precision = np.where(found + wrong > 0, _ratio(found, found + wrong), 1.0)
    recall = _ratio(found, curve.total[..., None])
    heights = (precision[..., 1:] + precision[..., :-1]) / 2
    return ((recall[..., :-1] - recall[..., 1:]) * heights).sum(axis=-1)


def best_f1(curve: ScoreCurve) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest F1 over all thresholds, and the threshold.

    Args:
        curve: of pixels.

    Returns:
        F1 `[...]`, and the threshold `[...]` from which scores are to be counted: half
        a level below the lowest one that counts, so that rounding decides nothing. Of
        equal F1 the highest threshold. NaN without lesion pixels.

    >>> from rkd_jax.metrics.lesions.curves import count_pixels
    >>> levels, lesion = np.uint16([32768, 40000, 50000]), np.array([1, 0, 1]) > 0
    >>> f1, threshold = best_f1(ScoreCurve.of(*count_pixels(levels, lesion)))
    >>> float(f1), round(float(threshold), 4)
    (0.8, 0.4999)
    """
    found, wrong, total = curve.found, curve.wrong, curve.total[..., None]
    f1 = 2 * found / np.maximum(found + wrong + total, 1.0)
    level = LEVELS - f1[..., ::-1].argmax(axis=-1)
    best = np.take_along_axis(f1, level[..., None], axis=-1)[..., 0]
    absent = curve.total == 0
    threshold = to_scores(level - 0.5)
    return np.where(absent, np.nan, best), np.where(absent, np.nan, threshold)


def at_threshold(curve: ScoreCurve, threshold: float) -> dict[str, np.ndarray]:
    """Return precision, recall and F1 of the pixels that are in the mask.

    Args:
        curve: of pixels.
        threshold: in 0..1; pixels of this score or more are in the mask, as in
            `rkd_jax.lesions.result.LesionMap`.

    Returns:
        "precision", "recall", "f1", each `[...]`. Precision is NaN where no pixel is
        in the mask; recall and F1 are NaN without lesion pixels.

    >>> from rkd_jax.metrics.lesions.curves import count_pixels
    >>> levels, lesion = np.uint16([1, 40000, 50000]), np.array([True, False, True])
    >>> found = at_threshold(ScoreCurve.of(*count_pixels(levels, lesion)), 0.5)
    >>> {name: float(value) for name, value in found.items()}
    {'precision': 0.5, 'recall': 0.5, 'f1': 0.5}
    """
    level = first_from(threshold)
    found, wrong = curve.found[..., level], curve.wrong[..., level]
    f1 = _ratio(2 * found, found + wrong + curve.total)
    return {
        "precision": _ratio(found, found + wrong),
        "recall": _ratio(found, curve.total),
        "f1": np.where(curve.total > 0, f1, np.nan),
    }


def precision_recall(curve: ScoreCurve) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points of the precision-recall curve, by falling score.

    Args:
        curve: of the pixels of all photographs together.

    Returns:
        Precision, recall and score `[P]`, a point for each score that a lesion pixel
        has. Empty without lesion pixels.

    >>> from rkd_jax.metrics.lesions.curves import count_pixels
    >>> levels, lesion = np.uint16([0, 1, 65535]), np.array([True, False, True])
    >>> [p.round(2).tolist() for p in precision_recall(
    ...     ScoreCurve.of(*count_pixels(levels, lesion)))]
    [[1.0, 0.67], [0.5, 1.0], [1.0, 0.0]]
    """
    at = np.flatnonzero(curve.found[:-1] > curve.found[1:])[::-1]
    found, wrong = curve.found[at], curve.wrong[at]
    return found / (found + wrong), found / curve.total, to_scores(at)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Divide; NaN for a division by 0."""
    below = np.asarray(below, np.float64)
    return above / np.where(below > 0, below, np.nan)

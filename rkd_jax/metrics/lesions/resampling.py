"""Intervals of the scores of lesions: photographs drawn with replacement.

Two methods are compared on the same draws, so that what is hard in a photograph is hard
for both (*paired*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rkd_jax.metrics.bootstrap import draw_groups, percentiles
from rkd_jax.metrics.lesions import froc, pixels
from rkd_jax.metrics.lesions.curves import ScoreCurve

RESAMPLES, SEED, CONFIDENCE = 2000, 0, 0.95
_AT_ONCE = 16  # draws: their counts fit into the processor's cache

Numbers = Callable[[ScoreCurve], Mapping[str, np.ndarray]]


def pixel_numbers(curve: ScoreCurve, threshold: float) -> dict[str, np.ndarray]:
    """Return all scores of pixels, by name; see `pixels`.

    Args:
        curve: of pixels, photographs together; any leading dimensions.
        threshold: of "precision", "recall" and "f1".

    Returns:
        Each `[...]`.
    """
    best, at = pixels.best_f1(curve)
    return {
        "average_precision": pixels.average_precision(curve),
        "aupr_11": pixels.aupr(curve),
        "aupr_33": pixels.aupr(curve, levels=33),
        "best_f1": best,
        "best_f1_threshold": at,
        **pixels.at_threshold(curve, threshold),
    }


def lesion_numbers(curve: ScoreCurve, images: int) -> dict[str, np.ndarray]:
    """Return all scores of lesions, by name; see `froc`.

    Args:
        curve: of `froc.detection_curve`, photographs together.
        images: number of photographs.

    Returns:
        "sensitivity_at_R" for each rate R of `froc.RATES`, and "sensitivity_mean".
    """
    values = froc.sensitivities(curve, images)
    named = {
        f"sensitivity_at_{rate:g}": values[..., i] for i, rate in enumerate(froc.RATES)
    }
    return named | {"sensitivity_mean": values.mean(axis=-1)}


def drawn(
    curve: ScoreCurve,
    numbers: Numbers,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, np.ndarray]:
    """Return scores of photographs drawn with replacement.

    Args:
        curve: a row a photograph.
        numbers: gives the scores of photographs together.
        resamples: number of draws.
        seed: equal seeds draw equal photographs.

    Returns:
        name -> `[resamples]`; NaN where a draw has no such number.
    """
    weights = draw_groups(len(curve.found), resamples=resamples, seed=seed)
    parts = [
        numbers(curve.weighted(weights[start : start + _AT_ONCE]))
        for start in range(0, resamples, _AT_ONCE)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def intervals(
    values: Mapping[str, np.ndarray],
    photographs: int,
    *,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float] | None]:
    """Return the interval of each score.

    Args:
        values: of `drawn`.
        photographs: how many were drawn from; with one there are no intervals.
        confidence: in 0..1.

    >>> intervals({"f1": np.array([0.1, 0.2, 0.3])}, 3, confidence=1.0)
    {'f1': [0.1, 0.3]}
    """
    if photographs < 2:
        return dict.fromkeys(values)
    return {name: percentiles(value, confidence) for name, value in values.items()}


def paired_difference(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    photographs: int,
    *,
    confidence: float = CONFIDENCE,
) -> dict[str, Any]:
    """Return the interval of each score of one method less that of another.

    Args:
        first: of `drawn`, with the same photographs, number of draws and seed as
        second: the other method.
        photographs: see `intervals`.
        confidence: in 0..1.

    >>> gain = paired_difference({"f1": np.array([2.0, 3.0])},
    ...     {"f1": np.array([1.0, 1.0])}, 2, confidence=1.0)
    >>> gain
    {'f1': [1.0, 2.0]}
    """
    gains = {name: first[name] - second[name] for name in first}
    return intervals(gains, photographs, confidence=confidence)

"""Scores of lesions of photographs that are drawn with replacement."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rkd_jax.metrics.bootstrap import RESAMPLES, SEED, draw_groups
from rkd_jax.metrics.lesions import froc, pixels
from rkd_jax.metrics.lesions.curves import ScoreCurve

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

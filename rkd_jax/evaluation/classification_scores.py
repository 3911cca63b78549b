"""Scores of the predictions of one network, and of several less one another."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.class_data import ClassData
from rkd_jax.evaluation.classification_predictions import Predictions
from rkd_jax.evaluation.score_tables import Scored, difference
from rkd_jax.metrics import bootstrap, calibration, class_draws, classification

FAR = 0.95
"""Of the validation images this share lies nearer, and the rest farther."""


@dataclasses.dataclass(frozen=True, eq=False)
class RowScore:
    """The scores of one network.

    Attributes:
        numbers: name -> value, None where there is none; see
            `rkd_jax.metrics.classification.scores`.
        intervals: name -> `[low, high]` or None.
        drawn: name -> values of the bootstrap, for paired differences.
        probabilities: `[N, C]`, calibrated.
        classes: scores of each class.
        matrix: int `[C, C]`: [true, predicted].
        bins: of the reliability chart.
        temperature: what the logits were divided by.
        far_share: share of the images that are farther from the training data than
            95 % of the validation images; None where the weights do not know it.
    """

    numbers: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    drawn: dict[str, np.ndarray]
    probabilities: np.ndarray
    classes: list[dict[str, float | None]]
    matrix: np.ndarray
    bins: list[dict[str, float]]
    temperature: float
    far_share: float | None


def score_row(
    data: ClassData, saved: Predictions, *, temperature: float, ordered: bool
) -> RowScore:
    """Score the predictions of one network.

    Args:
        data: the images, with the classes of the network.
        saved: predictions in their order.
        temperature: of the network.
        ordered: whether the classes are grades.
    """
    labels = data.labels.astype(int)
    found = calibration.probabilities_of(saved.logits, temperature)
    drawn = class_draws.drawn(
        labels,
        found,
        np.array(data.groups),
        ordered=ordered,
        resamples=bootstrap.RESAMPLES,
        seed=bootstrap.SEED,
    )
    quantiles = saved.distances[:, 1]
    known = bool(np.isfinite(quantiles).all())
    return RowScore(
        classification.scores(labels, found, ordered=ordered),
        bootstrap.intervals(drawn, len(set(data.groups))),
        drawn,
        found,
        classification.class_scores(labels, found),
        classification.confusion(labels, found),
        calibration.calibration_bins(labels, found),
        temperature,
        float((quantiles > FAR).mean()) if known else None,
    )


def compare(scores: Mapping[str, Scored], groups: int) -> list[dict[str, Any]]:
    """Compare rows: each less the one before it, and less the first.

    Args:
        scores: of all rows, in order.
        groups: how many the draws are of.

    Returns:
        See `rkd_jax.evaluation.score_tables.difference`.
    """
    rows = list(scores)
    pairs = list(zip(rows[1:], rows))
    pairs += [(row, rows[0]) for row in rows[2:]]
    return [difference(one, other, scores, groups) for one, other in pairs]


def image_rows(
    data: ClassData, saved: Predictions, score: RowScore
) -> list[dict[str, Any]]:
    """Return what one network says of each image, a row each.

    Args:
        data: the images.
        saved: predictions in their order.
        score: of them.
    """
    rows = []
    for item, far, found in zip(
        data.items, saved.distances.tolist(), score.probabilities, strict=True
    ):
        distance, quantile = (v if math.isfinite(v) else None for v in far)
        rows.append(
            {
                "image": item.name,
                "group": item.group,
                "class": data.classes[item.label],
                "predicted": data.classes[int(found.argmax())],
                "right": int(found.argmax() == item.label),
                "probability": float(found.max()),
                "distance": distance,
                "distance_quantile": quantile,
                **_by_class(data.classes, found),
            }
        )
    return rows


def _by_class(classes: Sequence[str], found: np.ndarray) -> dict[str, float]:
    values = found.tolist()
    return {f"p_{name}": value for name, value in zip(classes, values, strict=True)}

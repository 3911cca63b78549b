"""Differences between rows of scores of lesions, with paired intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rkd_jax.evaluation.lesion_scores import RowScore
from rkd_jax.evaluation.score_tables import difference


def compare(scores: Mapping[str, RowScore]) -> list[dict[str, Any]]:
    """Compare rows: paired bootstrap by photograph.

    Each row less "full"; each row with a classifier less the best one without; each row
    with a classifier less that of the other classifier.

    Args:
        scores: of all rows.

    Returns:
        For each comparison "first", "second", "difference" (name -> first less second)
        and "intervals".
    """
    plain = [row for row in scores if not row.startswith(("refined_", "cls_"))]
    best = max(
        plain,
        key=lambda row: scores[row].numbers["average_precision"] or 0.0,
        default=None,
    )
    pairs = [(row, "full") for row in scores if row != "full"]
    refined = [row for row in scores if row not in plain]
    pairs += [(row, best) for row in refined if best not in (None, "full")]
    pairs += [
        (row, row.replace("refined_", "cls_"))
        for row in refined
        if row.startswith("refined_")
    ]
    return [
        difference(first, second, scores, len(scores[first].photographs))
        for first, second in pairs
        if second in scores
    ]

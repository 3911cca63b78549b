"""Expected errors of a benchmark's landmarks against their annotation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.metrics.expected_error import expected_error_score


def score(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Score the expected errors of accepted pairs; others have none.

    Returns:
        What `rkd_jax.metrics.expected_error.expected_error_score` gives.
    """
    rows = [np.zeros((0, 3))]
    for prediction in predictions:
        if prediction.ok:
            away = prediction.control_predicted - prediction.control_true[:, :2]
            error = np.linalg.norm(away, axis=1)
            rows.append(np.column_stack([error, prediction.control_expected]))
    return expected_error_score(*np.concatenate(rows).T)


def text(numbers: Mapping[str, Any]) -> str:
    """Return a score as a line for a reader.

    >>> text(expected_error_score([], [], []))
    'expected error: no landmarks'
    """
    known = numbers["landmarks"] - numbers["not_known"]
    if not known:
        count = numbers["landmarks"]
        return (
            f"expected error: {f'none of {count} known' if count else 'no landmarks'}"
        )
    within = 100 * numbers["within_bound"]
    names = ("median_bound_px", "median_expected_px", "median_error_px")
    bound, expected, found = (numbers[name] for name in names)
    return (
        f"{within:.0f} % of {known} landmarks within the 90 % bound (median "
        f"{bound:.1f} px), expected error {expected:.1f} px, found {found:.1f} px "
        f"(medians); {numbers['not_known']} not known"
    )

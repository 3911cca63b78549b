"""Score expected errors: how often a landmark's error is within its bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def expected_error_score(
    errors_px: npt.ArrayLike, expected_px: npt.ArrayLike, bound_px: npt.ArrayLike
) -> dict[str, Any]:
    """Compare the errors of landmarks with what was expected of them.

    Args:
        errors_px: `[N]` distances from where the landmarks should be.
        expected_px: `[N]` expected (median) errors; NaN where not known.
        bound_px: `[N]` bounds of the errors; NaN where not known.

    Returns:
        "landmarks" and "not_known" (counts); of those that are known "below_expected"
        and "within_bound" (shares) and the medians "median_expected_px",
        "median_bound_px" and "median_error_px", None where none is known.

    Raises:
        ValueError: arrays of different shapes.

    Example:
        >>> known, unknown = [2.0, 2.0], [np.nan]
        >>> score = expected_error_score([1, 5, 9], known + unknown, [4, 4, np.nan])
        >>> score["not_known"], score["below_expected"], score["within_bound"]
        (1, 0.5, 0.5)
    """
    errors, expected, bound = (
        np.asarray(values, np.float64) for values in (errors_px, expected_px, bound_px)
    )
    if not errors.shape == expected.shape == bound.shape == (errors.size,):
        raise ValueError(
            "errors_px, expected_px and bound_px: expected one shape [N], found "
            f"{errors.shape}, {expected.shape} and {bound.shape}"
        )
    known = np.isfinite(expected) & np.isfinite(bound)
    counts = {"landmarks": int(errors.size), "not_known": int((~known).sum())}
    if not known.any():
        names = ("below_expected", "within_bound")
        medians = ("median_expected_px", "median_bound_px", "median_error_px")
        return {**counts, **dict.fromkeys((*names, *medians))}
    errors, expected, bound = (values[known] for values in (errors, expected, bound))
    return {
        **counts,
        "below_expected": float(np.mean(errors <= expected)),
        "within_bound": float(np.mean(errors <= bound)),
        "median_expected_px": float(np.median(expected)),
        "median_bound_px": float(np.median(bound)),
        "median_error_px": float(np.median(errors)),
    }

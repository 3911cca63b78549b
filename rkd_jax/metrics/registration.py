"""Score registrations by landmark errors: success and area under the curve."""

from collections.abc import Sequence

import numpy as np

from rkd_jax.metrics.fire import THRESHOLDS_PX, auc


def registration_score(
    mean_errors: Sequence[float] | np.ndarray,
    *,
    success_px: float = 5.0,
    threshold_scale: float = 1.0,
) -> dict[str, float]:
    """Summarize the landmark errors of registered pairs.

    Args:
        mean_errors: `[M]` mean landmark error of each pair in pixels of the working
            size; inf or NaN where registration failed.
        success_px: a pair below this error (strictly) is a success.
        threshold_scale: multiplies the thresholds of 1 to 25 px of the AUC; working
            size / 2912 would make them FIRE's.

    Returns:
        "auc" in 0..1 (failed pairs are missed), "success" (share of pairs in 0..1),
        "mean_error_px" (over the successes; NaN if there is none), "pairs".

    Raises:
        ValueError: no pairs, errors that are not `[M]`, or a setting that is not
            positive.

    >>> result = registration_score([0.5, 3.5, float("inf"), 30.0])
    >>> result["success"], result["mean_error_px"], result["auc"]
    (0.5, 2.0, 0.47)
    """
    errors = np.asarray(mean_errors, dtype=np.float64)
    if errors.ndim != 1 or errors.size == 0:
        raise ValueError(
            f"mean_errors have shape {errors.shape}; expected [M], one a pair, M >= 1"
        )
    if not (success_px > 0 and threshold_scale > 0):
        raise ValueError(
            f"success_px is {success_px} and threshold_scale {threshold_scale}; "
            "expected positive numbers"
        )
    good = errors < success_px
    thresholds = threshold_scale * np.asarray(THRESHOLDS_PX, dtype=np.float64)
    return {
        "auc": auc(errors, thresholds),
        "success": float(np.mean(good)),
        "mean_error_px": float(np.mean(errors[good])) if good.any() else float("nan"),
        "pairs": float(errors.size),
    }

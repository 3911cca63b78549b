"""The first estimate: a homography among wrong matches, by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np

ESTIMATORS = {"magsac": cv2.USAC_MAGSAC, "lmeds": cv2.LMEDS}

_SEED = 20230720
_MAX_ITERATIONS = 10_000
_CONFIDENCE = 0.9999


def estimate_homography(
    moving: np.ndarray, fixed: np.ndarray, estimator: str, threshold_px: float
) -> tuple[np.ndarray | None, np.ndarray, str]:
    """Estimate a homography in float64, the same on every run.

    Args:
        moving: `[N, 2]`, N >= 4.
        fixed: `[N, 2]`.
        estimator: key of `ESTIMATORS`.
        threshold_px: inlier distance; "lmeds" takes none.

    Returns:
        The matrix or None, the inliers `[N]` bool, and why there is no matrix.

    OpenCV 5 marks the pairs within `threshold_px` as inliers of "lmeds", a method
    without a threshold. A matrix that is a little off for every pair (a homography of
    a curved retina) then has fewer inliers than the four pairs that it was made from.
    In that case the inliers follow the method's own rule (`lmeds_inliers`), as in
    OpenCV 4.
    """
    cv2.setRNGSeed(_SEED)
    nothing = np.zeros(len(moving), bool)
    try:
        matrix, mask = cv2.findHomography(
            moving,
            fixed,
            ESTIMATORS[estimator],
            threshold_px,
            maxIters=_MAX_ITERATIONS,
            confidence=_CONFIDENCE,
        )
    except cv2.error as error:
        return None, nothing, f"OpenCV could not fit a homography ({error.err})"
    lost = "no homography agrees with 4 matches or more"
    if matrix is None or mask is None or not np.all(np.isfinite(matrix)):
        return None, nothing, lost
    inliers = mask.ravel().astype(bool)
    if estimator == "lmeds" and inliers.sum() < 4:
        inliers = lmeds_inliers(matrix, moving, fixed)
    if inliers.sum() < 4:
        return None, inliers, lost
    extent = max(1.0, np.abs(moving).max(), np.abs(fixed).max())
    units = np.diag([1 / extent, 1 / extent, 1.0])
    if np.linalg.cond(units @ matrix @ np.linalg.inv(units)) > 1e8:
        return None, inliers, "the homography is singular"
    return matrix, inliers, ""


def lmeds_inliers(
    matrix: np.ndarray, moving: np.ndarray, fixed: np.ndarray
) -> np.ndarray:
    """Mark the inliers of a homography by the scale rule of least median of squares.

    The scale is 2.5 * 1.4826 * (1 + 5 / (N - 4)) * median distance, at least .001 px.

    Example:
        >>> line = np.stack([np.arange(9.0), np.arange(9.0) ** 2], axis=1)
        >>> moved = line + 0.1
        >>> moved[8] += 50
        >>> lmeds_inliers(np.eye(3), line, moved).sum()
        np.int64(8)

    Source: Rousseeuw and Leroy 1987, chapter 5; OpenCV's `LMeDSPointSetRegistrator`.
    """
    mapped = np.c_[moving, np.ones(len(moving))] @ matrix.T
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.linalg.norm(mapped[:, :2] / mapped[:, 2:] - fixed, axis=1)
    distance = np.where(np.isfinite(distance), distance, np.inf)
    widening = 1.0 + 5.0 / max(len(moving) - 4, 1)
    median = np.median(distance)
    return distance <= max(2.5 * 1.4826 * widening * median, 1e-3)

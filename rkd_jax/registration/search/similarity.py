"""Turn, scale and shift between two working images, fitted to matches."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized
from rkd_jax.registration.transforms import Homography

LEAST_MATCHES = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Similarity:
    """Turn, scale and shift between two working images.

    Attributes:
        matrix: `[3, 3]`, from working pixels of the moving to those of the fixed image.
    """

    matrix: np.ndarray

    @property
    def scale(self) -> float:
        """Fixed pixels to one moving pixel."""
        return math.hypot(*self.matrix[:2, 0])

    @property
    def turn_deg(self) -> float:
        """Turn from the x axis to the y axis: clockwise, as y points down."""
        return math.degrees(math.atan2(self.matrix[1, 0], self.matrix[0, 0]))

    def between(self, fixed: Resized, moving: Resized) -> Homography:
        """Return it between the files of the two images."""
        from_working = np.linalg.inv(working_matrix(fixed))
        return Homography(from_working @ self.matrix @ working_matrix(moving))


def working_matrix(prepared: Resized) -> np.ndarray:
    """Return `prepared.from_file` as a `[3, 3]` matrix.

    Example:
        >>> half = Resized(np.zeros((8, 8)), (8, 8), (4, 0, 20, 16), (16, 20))
        >>> (working_matrix(half) @ [4.5, 0.5, 1]).tolist()
        [0.0, 0.0, 1.0]
    """
    x0, y0, _, _ = prepared.box
    sx, sy = prepared.scale
    shift = (0.5 - x0) * sx - 0.5, (0.5 - y0) * sy - 0.5
    return np.array([[sx, 0, shift[0]], [0, sy, shift[1]], [0, 0, 1.0]])


def fit_similarity(
    moving: np.ndarray, fixed: np.ndarray, reach_px: float
) -> tuple[Similarity, np.ndarray] | None:
    """Fit turn, scale and shift to matches of which many are wrong.

    Args:
        moving: `[M, 2]` points of the moving image.
        fixed: `[M, 2]` points of the fixed image.
        reach_px: how far a match may be off, in pixels of the fixed image.

    Returns:
        The similarity and the mask `[M]` of matches that agree; None where nothing
        fits, or with fewer than five matches.
    """
    if len(moving) < LEAST_MATCHES:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        moving,
        fixed,
        method=cv2.RANSAC,
        ransacReprojThreshold=reach_px,
        maxIters=5000,
        confidence=0.999,
    )
    if matrix is None or not np.isfinite(matrix).all():
        return None
    found = Similarity(np.vstack([matrix, [0.0, 0.0, 1.0]]))
    return (found, inliers[:, 0] > 0) if found.scale > 1e-3 else None

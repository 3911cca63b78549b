"""Matched points of two photographs."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Matched points in pixels of the two files.

    Attributes:
        points_fixed: `[M, 2]` float64 (x, y).
        points_moving: `[M, 2]` float64 (x, y).
        similarity: `[M]` float32, cosine of the descriptors.
    """

    points_fixed: np.ndarray
    points_moving: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.points_fixed)

    def subset(self, kept: np.ndarray) -> Matches:
        """Return the matches that a mask `[M]` keeps."""
        return Matches(
            self.points_fixed[kept], self.points_moving[kept], self.similarity[kept]
        )

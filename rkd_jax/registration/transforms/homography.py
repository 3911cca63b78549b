"""The projective transform of the plane."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.registration.transforms.base import Transform, as_points
from rkd_jax.registration.transforms.checks import finite_array


def project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 3x3 matrix to points `[..., 2]`; NaN on the horizon.

    Example:
        >>> project(np.diag([2.0, 2.0, 1.0]), np.array([[1.0, 3.0]])).tolist()
        [[2.0, 6.0]]
    """
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[..., 2:]
    return mapped[..., :2] / np.where(np.abs(depth) > 1e-12, depth, np.nan)


def as_matrix(matrix: Any) -> np.ndarray:
    """Return a finite float64 `[3, 3]` matrix; refuse anything else."""
    return finite_array("matrix", matrix, (3, 3))


@dataclasses.dataclass(frozen=True, eq=False)
class Homography(Transform):
    """A projective transform: `matrix` acts on pixel (x, y, 1).

    Example:
        >>> shift = Homography([[1, 0, 5], [0, 1, -2], [0, 0, 1]])
        >>> shift.apply([[10.0, 10.0]]).tolist()
        [[15.0, 8.0]]
    """

    matrix: np.ndarray
    family: ClassVar[str] = "homography"

    def __post_init__(self) -> None:
        matrix = as_matrix(self.matrix)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "_inverse", np.linalg.inv(matrix))

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        return project(self.matrix, as_points(points))

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        return project(self._inverse, as_points(points))

    def projective(self) -> np.ndarray:
        return self.matrix

    def parameters(self) -> dict[str, Any]:
        return {"matrix": self.matrix.tolist()}

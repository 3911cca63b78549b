"""A homography between two photographs of a curved retina.

The retina is a bowl, a photograph is flat. Let u = (p - center) / radius be a place in
the camera's field (1 at its rim). `geometry.radial.bend` maps u to u (1 + k |u|^2), in
the plane in which a turn of the eye is a homography. This is the form of radial lens
distortion with one coefficient, k1; here most of k is the curvature of the retina and
the projection of the camera. `fitting.curvature` derives its size.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.geometry.radial import bend, unbend
from rkd_jax.registration.transforms.base import Transform, as_points
from rkd_jax.registration.transforms.checks import check_keys, finite_array
from rkd_jax.registration.transforms.frame import Frame
from rkd_jax.registration.transforms.homography import as_matrix, project

MAX_CURVATURE = 0.5


@dataclasses.dataclass(frozen=True, eq=False)
class Radial(Transform):
    """A homography between undistorted fields: `unbend(matrix bend(u))`.

    Attributes:
        matrix: `[3, 3]`, from the undistorted moving to the undistorted fixed field.
        curvature: k of both photographs, 0 to 0.5; 0 is a plain homography.
        moving_frame: the field of the moving image.
        fixed_frame: the field of the fixed image.

    Example:
        >>> frame = Frame(50, 50, 50)
        >>> turned = Radial([[1, 0, 0.2], [0, 1, 0], [0, 0, 1]], 0.12, frame, frame)
        >>> turned.apply([[50.0, 50.0]]).round(2).tolist()
        [[59.95, 50.0]]
        >>> turned.apply_inverse([[59.95, 50.0]]).round(1).tolist()
        [[50.0, 50.0]]

    """

    matrix: np.ndarray
    curvature: float
    moving_frame: Frame
    fixed_frame: Frame
    family: ClassVar[str] = "radial"

    def __post_init__(self) -> None:
        matrix = as_matrix(self.matrix)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "_inverse", np.linalg.inv(matrix))
        finite_array("curvature", self.curvature, ())
        if not 0 <= self.curvature <= MAX_CURVATURE:
            raise ValueError(
                f"curvature: expected 0 to {MAX_CURVATURE:g}, found {self.curvature}"
            )
        for name in ("moving_frame", "fixed_frame"):
            object.__setattr__(self, name, _as_frame(name, getattr(self, name)))

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        field = self.moving_frame.to_field(as_points(points))
        flat = project(self.matrix, bend(field, self.curvature))
        return self.fixed_frame.from_field(unbend(flat, self.curvature))

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        field = self.fixed_frame.to_field(as_points(points))
        flat = project(self._inverse, bend(field, self.curvature))
        return self.moving_frame.from_field(unbend(flat, self.curvature))

    def projective(self) -> np.ndarray:
        to_field = self.moving_frame.matrix()
        from_field = np.linalg.inv(self.fixed_frame.matrix())
        return from_field @ self.matrix @ to_field

    def parameters(self) -> dict[str, Any]:
        return {
            "matrix": self.projective().tolist(),
            "curvature": float(self.curvature),
            "moving_frame": dataclasses.asdict(self.moving_frame),
            "fixed_frame": dataclasses.asdict(self.fixed_frame),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Radial:
        moving, fixed = (
            _as_frame(name, parameters[name])
            for name in ("moving_frame", "fixed_frame")
        )
        of_pixels = as_matrix(parameters["matrix"])
        matrix = fixed.matrix() @ of_pixels @ np.linalg.inv(moving.matrix())
        return cls(matrix, parameters["curvature"], moving, fixed)


def _as_frame(name: str, value: Any) -> Frame:
    """Return a frame, also of its description {"x", "y", "radius"} in pixels."""
    if isinstance(value, Frame):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected x, y and radius, found {value!r:.60}")
    check_keys(Frame, value, f"{name}.")
    return Frame(**value)

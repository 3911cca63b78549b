"""A homography between two curved views of the retina.

The retina is a bowl, a photograph flat. With u = (p - center) / radius the place in the
camera's field (1 at its rim), `geometry.radial.bend` carries a photograph to the plane
in which a turn of the eye is a homography; `fitting.curvature` derives why, and how
large k is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.geometry.radial import bend, unbend
from rkd_jax.registration.transforms.base import Transform, as_points
from rkd_jax.registration.transforms.homography import Homography, as_matrix, project

MAX_CURVATURE = 0.5


@dataclasses.dataclass(frozen=True)
class Frame:
    """Where the camera's field lies in an image.

    Attributes:
        x: column of its centre in pixels.
        y: row of its centre in pixels.
        radius: half of its width in pixels.

    Example:
        >>> Frame.of_box((0, 0, 101, 81))
        Frame(x=50.0, y=40.0, radius=50.5)
    """

    x: float
    y: float
    radius: float

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.radius)
        if not (np.all(np.isfinite(values)) and self.radius > 0):
            raise ValueError(
                f"Frame{values}: expected finite x and y and a radius above 0"
            )

    @classmethod
    def of_box(cls, box: tuple[float, float, float, float]) -> Frame:
        """Take the box (x0, y0, x1, y1; x1, y1 exclusive) of the field.

        Cameras cut the field's circle at top and bottom: the longer side is its width.
        """
        x0, y0, x1, y1 = (float(value) for value in box)
        middle = 0.5 * (x0 + x1 - 1), 0.5 * (y0 + y1 - 1)
        return cls(*middle, 0.5 * max(x1 - x0, y1 - y0))

    @classmethod
    def of_size(cls, size: tuple[int, int]) -> Frame:
        """Take a whole image of (height, width)."""
        return cls.of_box((0, 0, size[1], size[0]))

    def to_field(self, points: np.ndarray) -> np.ndarray:
        """Map pixels `[..., 2]` to the field: 1 at its rim."""
        return (points - np.array([self.x, self.y])) / self.radius

    def from_field(self, points: np.ndarray) -> np.ndarray:
        """Map places of the field `[..., 2]` to pixels."""
        return points * self.radius + np.array([self.x, self.y])

    def matrix(self) -> np.ndarray:
        """Return `to_field` as a `[3, 3]` matrix."""
        scale = 1.0 / self.radius
        return np.array(
            [[scale, 0, -self.x * scale], [0, scale, -self.y * scale], [0, 0, 1.0]]
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Radial(Transform):
    """A homography between flattened fields: `unbend(matrix bend(u))`.

    Attributes:
        matrix: `[3, 3]`, from the flattened moving field to the flattened fixed one.
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
        if not 0 <= self.curvature <= MAX_CURVATURE:
            raise ValueError(
                f"curvature: expected 0 to {MAX_CURVATURE:g}, found {self.curvature}"
            )
        for name in ("moving_frame", "fixed_frame"):
            frame = getattr(self, name)
            if isinstance(frame, Mapping):
                object.__setattr__(self, name, Frame(**frame))

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        field = self.moving_frame.to_field(as_points(points))
        flat = project(self.matrix, bend(field, self.curvature))
        return self.fixed_frame.from_field(unbend(flat, self.curvature))

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        field = self.fixed_frame.to_field(as_points(points))
        flat = project(self._inverse, bend(field, self.curvature))
        return self.moving_frame.from_field(unbend(flat, self.curvature))

    def projective(self) -> Homography:
        to_field = self.moving_frame.matrix()
        from_field = np.linalg.inv(self.fixed_frame.matrix())
        return Homography(from_field @ self.matrix @ to_field)

    def parameters(self) -> dict[str, Any]:
        return {
            "matrix": self.matrix.tolist(),
            "curvature": float(self.curvature),
            "moving_frame": dataclasses.asdict(self.moving_frame),
            "fixed_frame": dataclasses.asdict(self.fixed_frame),
        }

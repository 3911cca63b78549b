"""Where the camera's field lies in a photograph: the unit of radial distortion."""

from __future__ import annotations

import dataclasses

import numpy as np

# Widths of fields that differ by less have one unit of distortion.
_ALIKE = 1.25


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


def common_frames(moving: Frame, fixed: Frame, scale: float) -> tuple[Frame, Frame]:
    """Return the units of radial distortion of two photographs.

    The distortion k r^2 is measured in radii of the camera's field. Where one camera
    sees much more than the other, both get the radius of the narrower field, so that r
    is the same angle in both.

    Args:
        moving: the field of the moving photograph.
        fixed: the field of the fixed photograph.
        scale: pixels of the fixed file to one of the moving file.

    Returns:
        The frames of the moving and of the fixed photograph.

    Example:
        >>> field = Frame(39.5, 39.5, 40.0)
        >>> [frame.radius for frame in common_frames(field, field, 0.25)]
        [40.0, 10.0]
    """
    ratio = moving.radius * scale / fixed.radius
    if ratio > _ALIKE:
        moving = dataclasses.replace(moving, radius=fixed.radius / scale)
    elif ratio < 1 / _ALIKE:
        fixed = dataclasses.replace(fixed, radius=moving.radius * scale)
    return moving, fixed

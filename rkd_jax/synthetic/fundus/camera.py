"""The camera: pixels of one photograph to places of the eye and back.

A pixel p lies at u = (p - c) / (size / 2) from the image centre c. The curved retina
is flattened by u' = u (1 + k |u|^2), and a turn of the eye is then a homography of the
flattened plane: the chart in which the eye is drawn. With k = 0 two photographs of one
eye differ by a homography; with k > 0 they do not.

Source: the radial correction that fits FIRE's pairs best has k = 0.12 (measured).
"""

import math
from dataclasses import dataclass

import numpy as np

from rkd_jax.geometry.radial import bend, unbend

_FOCAL = 2.5  # distance from the turning point of the eye to the chart, in fields


@dataclass(frozen=True)
class Camera:
    """The geometry of one photograph.

    Attributes:
        size: Width and height of the photograph in pixels.
        curvature: k of the radial mapping, at least 0.
        matrix: float64 `[3, 3]`: flattened field coordinates to chart coordinates.
    """

    size: int
    curvature: float
    matrix: np.ndarray

    def to_chart(self, xy: np.ndarray) -> np.ndarray:
        """Map pixels `[..., 2]` to the chart of the eye: float64 `[..., 2]`."""
        half = self.size / 2
        u = (np.asarray(xy, np.float64) - (self.size - 1) / 2) / half
        return _project(self.matrix, bend(u, self.curvature))

    def from_chart(self, xy: np.ndarray) -> np.ndarray:
        """Map places of the chart `[..., 2]` to pixels: float64 `[..., 2]`."""
        u = _project(np.linalg.inv(self.matrix), np.asarray(xy, np.float64))
        u = unbend(u, self.curvature)
        return u * (self.size / 2) + (self.size - 1) / 2

    def pixels_per_field(self, xy: np.ndarray) -> np.ndarray:
        """Return the local scale at places of the chart: `[..., 2] -> [...]`."""
        step = 1e-4
        xy = np.asarray(xy, np.float64)
        here = self.from_chart(xy)
        a = (self.from_chart(xy + [step, 0]) - here) / step
        b = (self.from_chart(xy + [0, step]) - here) / step
        return np.sqrt(np.abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]))

    def pixel_grid(self) -> np.ndarray:
        """Return the chart coordinates of all pixels: float32 `[size, size, 2]`."""
        axis = np.arange(self.size, dtype=np.float64)
        xy = np.stack(np.meshgrid(axis, axis), axis=-1)
        return self.to_chart(xy).astype(np.float32)


@dataclass(frozen=True)
class Mapping:
    """Points of one photograph to points of another one of the same eye.

    Example:
        >>> view = Camera(64, 0.12, np.eye(3))
        >>> Mapping(view, view)(np.array([[10.0, 20.0]])).round(6)
        array([[10., 20.]])
    """

    source: Camera
    target: Camera

    def __call__(self, xy: np.ndarray) -> np.ndarray:
        """Map pixels float `[..., 2]` to pixels: float64 `[..., 2]`."""
        return self.target.from_chart(self.source.to_chart(xy))

    def inverse(self) -> "Mapping":
        """Return the mapping in the other direction."""
        return Mapping(self.target, self.source)


def _project(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    out = xy @ matrix[:, :2].T + matrix[:, 2]
    return out[..., :2] / out[..., 2:]


def aim(
    at: tuple[float, float], *, turn_rad: float = 0.0, scale: float = 1.0
) -> np.ndarray:
    """Return the matrix of a `Camera` that is aimed at a place of the chart.

    Args:
        at: x and y of the place in the middle of the photograph, in fields.
        turn_rad: Rotation of the camera about its axis.
        scale: Above 1 for a wider field.

    Returns:
        float64 `[3, 3]`.
    """
    angle = math.atan(math.hypot(*at) / _FOCAL)
    way = math.atan2(at[1], at[0])
    cw, sw, ca, sa = math.cos(way), math.sin(way), math.cos(angle), math.sin(angle)
    around = np.array([[cw, -sw, 0], [sw, cw, 0], [0, 0, 1]])
    tilt = np.array([[ca, 0, sa], [0, 1, 0], [-sa, 0, ca]])
    ct, st = math.cos(turn_rad), math.sin(turn_rad)
    turn = np.array([[ct, -st, 0], [st, ct, 0], [0, 0, 1]])
    lens = np.diag([1.0, 1.0, _FOCAL])
    inside = np.diag([scale, scale, 1.0])
    matrix = np.linalg.inv(lens) @ around @ tilt @ around.T @ turn @ lens @ inside
    return matrix / matrix[2, 2]


def shift_for_overlap(share: float) -> float:
    """Return the shift between two fields of radius 1 that share `share` of their area.

    Example:
        >>> shift_for_overlap(1.0)
        0.0
    """
    shifts = np.linspace(0, 2, 2001)
    half = shifts / 2
    shared = 2 / np.pi * (np.arccos(half) - half * np.sqrt(1 - half * half))
    return float(np.interp(share, shared[::-1], shifts[::-1]))

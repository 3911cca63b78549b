"""Transforms of points from the moving image to the fixed image, float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import cv2
import numpy as np

_STRIP_POINTS = 1 << 20  # points inverted at once while warping: bounds the memory
_NEWTON_ROUNDS = 30
_GRID_STEP = 8  # pixels between the points that a curved inverse is solved at
_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}


def _points(points: Any) -> np.ndarray:
    """Return points as float64 `[..., 2]`; refuse other shapes."""
    points = np.asarray(points, np.float64)
    if points.ndim == 0 or points.shape[-1] != 2:
        raise ValueError(
            f"points: expected shape [..., 2] of (x, y), found {points.shape}"
        )
    return points


class Transform:
    """A map of points from the moving to the fixed image, in pixels of the files.

    Subclasses give `apply`, `apply_inverse`, `parameters` and a `family` name;
    warping and saving are the same for all of them.
    """

    family: ClassVar[str]

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map moving points `[..., 2]` (x, y) to the fixed image, float64."""
        raise NotImplementedError

    def apply_inverse(self, points: np.ndarray) -> np.ndarray:
        """Map fixed points `[..., 2]` to the moving image; NaN where undefined."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Return what `__init__` takes, as lists and floats."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description; `from_dict` reads it back."""
        return {
            "family": self.family,
            "direction": "moving_to_fixed",
            **self.parameters(),
        }

    @staticmethod
    def from_dict(description: dict[str, Any]) -> Transform:
        """Rebuild the transform that `to_dict` described.

        Raises:
            ValueError: if the family is unknown.
        """
        description = dict(description)
        family = description.pop("family", None)
        description.pop("direction", None)
        if family not in TRANSFORMS:
            raise ValueError(
                f"family: expected one of {sorted(TRANSFORMS)}, found {family!r}"
            )
        return TRANSFORMS[family](**description)

    def _inverse_rows(self, top: int, bottom: int, width: int) -> np.ndarray:
        """Return where pixels of rows top..bottom-1 come from, `[rows, width, 2]`."""
        rows = np.arange(top, bottom)
        grid = np.stack(np.meshgrid(np.arange(width), rows), axis=-1)
        return self.apply_inverse(grid)

    def _sources(self, out_size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield strips of rows and where their pixels come from."""
        height, width = out_size
        step = max(1, _STRIP_POINTS // max(1, width))
        for top in range(0, height, step):
            bottom = min(top + step, height)
            yield slice(top, bottom), self._inverse_rows(top, bottom, width)

    def warp(
        self,
        image: np.ndarray,
        out_size: tuple[int, int],
        *,
        interpolation: str = "linear",
        fill: float = 0.0,
    ) -> np.ndarray:
        """Draw the moving image in the fixed frame.

        Args:
            image: `[H, W]` or `[H, W, C]` uint8, uint16 or float.
            out_size: (height, width) of the fixed frame.
            interpolation: "nearest", "linear" or "cubic".
            fill: value outside the moving image.

        Returns:
            `[H', W'(, C)]` with the dtype of `image`.
        """
        if interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation: expected one of {sorted(_INTERPOLATIONS)}, "
                f"found {interpolation!r}"
            )
        image = np.asarray(image)
        dtype = image.dtype
        if dtype not in (np.uint8, np.uint16, np.float32):
            image = image.astype(np.float32)
        out = np.empty((*out_size, *image.shape[2:]), image.dtype)
        border = (fill,) * 4
        for rows, xy in self._sources(out_size):
            far = -2.0 * max(image.shape[:2])
            xy = np.clip(np.nan_to_num(xy, nan=far), far, -2.0 * far).astype(np.float32)
            strip = cv2.remap(
                image,
                np.ascontiguousarray(xy[..., 0]),
                np.ascontiguousarray(xy[..., 1]),
                _INTERPOLATIONS[interpolation],
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=border,
            )
            out[rows] = strip.reshape(out[rows].shape)
        return out.astype(dtype)

    def overlap(
        self,
        in_size: tuple[int, int],
        out_size: tuple[int, int],
        *,
        margin_px: float = 0.0,
    ) -> np.ndarray:
        """Return bool `[H', W']`: fixed pixels that show a part of the moving image."""
        out = np.empty(out_size, bool)
        limit = np.array([in_size[1], in_size[0]]) - 1.0 - margin_px
        for rows, xy in self._sources(out_size):
            out[rows] = np.all((xy >= margin_px) & (xy <= limit), axis=-1)
        return out


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
        matrix = np.asarray(self.matrix, np.float64)
        if matrix.shape != (3, 3) or not np.all(np.isfinite(matrix)):
            raise ValueError(f"matrix: expected 3x3 finite values, found {matrix}")
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "_inverse", np.linalg.inv(matrix))

    def apply(self, points: np.ndarray) -> np.ndarray:
        return _project(self.matrix, _points(points))

    def apply_inverse(self, points: np.ndarray) -> np.ndarray:
        return _project(self._inverse, _points(points))

    def parameters(self) -> dict[str, Any]:
        return {"matrix": self.matrix.tolist()}


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a 3x3 matrix to `[..., 2]`; NaN on the horizon."""
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[..., 2:]
    return mapped[..., :2] / np.where(np.abs(depth) > 1e-12, depth, np.nan)


def monomials(points: np.ndarray) -> np.ndarray:
    """Return (1, x, y, x^2, xy, y^2) of points `[..., 2]`, `[..., 6]`."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


@dataclasses.dataclass(frozen=True, eq=False)
class Quadratic(Transform):
    """A homography followed by a quadratic correction of 12 parameters.

    With u = H(p) and v = (u - center) / scale, the point goes to
    u + residual @ (1, v_x, v_y, v_x^2, v_x v_y, v_y^2). The correction stands for
    the curvature of the retina; with residual 0 it is the homography.
    The inverse is found by Newton's method, started at the point itself.

    Example:
        >>> bent = Quadratic(np.eye(3), [[0, 0, 0, 2, 0, 0], [0] * 6], [0, 0], 100)
        >>> bent.apply([[50.0, 7.0]]).tolist()
        [[50.5, 7.0]]
        >>> bent.apply_inverse(bent.apply([[50.0, 7.0]])).round(6).tolist()
        [[50.0, 7.0]]
    """

    matrix: np.ndarray
    residual: np.ndarray
    center: np.ndarray
    scale: float
    family: ClassVar[str] = "quadratic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_projective", Homography(self.matrix))
        object.__setattr__(self, "matrix", self._projective.matrix)
        for name, shape in (("residual", (2, 6)), ("center", (2,))):
            value = np.asarray(getattr(self, name), np.float64)
            if value.shape != shape or not np.all(np.isfinite(value)):
                raise ValueError(f"{name}: expected finite {shape}, found {value}")
            object.__setattr__(self, name, value)
        if not self.scale > 0:
            raise ValueError(f"scale: expected a positive number, found {self.scale}")

    def _correct(self, points: np.ndarray) -> np.ndarray:
        terms = monomials((points - self.center) / self.scale)
        return points + terms @ self.residual.T

    def _jacobian(self, points: np.ndarray) -> np.ndarray:
        """Return the 2x2 derivatives of the correction, `[..., 2, 2]`."""
        v = (points - self.center) / self.scale
        x, y = v[..., 0], v[..., 1]
        zero, one = np.zeros_like(x), np.ones_like(x)
        by_x = np.stack([zero, one, zero, 2 * x, y, zero], axis=-1)
        by_y = np.stack([zero, zero, one, zero, x, 2 * y], axis=-1)
        slopes = np.stack([by_x @ self.residual.T, by_y @ self.residual.T], axis=-1)
        return np.eye(2) + slopes / self.scale

    def apply(self, points: np.ndarray) -> np.ndarray:
        return self._correct(self._projective.apply(points))

    def apply_inverse(self, points: np.ndarray) -> np.ndarray:
        target = _points(points)
        guess = target.copy()
        tolerance = 1e-9 * self.scale
        step_size = np.full(target.shape[:-1], np.inf)
        for _ in range(_NEWTON_ROUNDS):
            error = self._correct(guess) - target
            jacobian = self._jacobian(guess)
            a, b = jacobian[..., 0, 0], jacobian[..., 0, 1]
            c, d = jacobian[..., 1, 0], jacobian[..., 1, 1]
            determinant = a * d - b * c
            # A fold of the parabola has no inverse beyond it.
            determinant = np.where(determinant > 1e-3, determinant, np.nan)
            step = np.stack(
                [
                    (d * error[..., 0] - b * error[..., 1]) / determinant,
                    (a * error[..., 1] - c * error[..., 0]) / determinant,
                ],
                axis=-1,
            )
            guess = guess - step
            step_size = np.abs(step).max(axis=-1)
            if not np.any(step_size > tolerance):
                break
        guess = np.where((step_size <= tolerance)[..., None], guess, np.nan)
        return self._projective.apply_inverse(guess)

    def _inverse_rows(self, top: int, bottom: int, width: int) -> np.ndarray:
        # Solved at every 8th pixel and bilinear between: off by about 1e-3 px where
        # the correction bends by tens of pixels over the image.
        rows = np.arange(top, bottom + _GRID_STEP, _GRID_STEP)
        columns = np.arange(0, width + _GRID_STEP, _GRID_STEP)
        coarse = self.apply_inverse(np.stack(np.meshgrid(columns, rows), axis=-1))
        coarse = _interpolate(coarse, bottom - top)
        return _interpolate(coarse.swapaxes(0, 1), width).swapaxes(0, 1)

    def parameters(self) -> dict[str, Any]:
        return {
            "matrix": self.matrix.tolist(),
            "residual": self.residual.tolist(),
            "center": self.center.tolist(),
            "scale": float(self.scale),
        }


def _interpolate(coarse: np.ndarray, count: int) -> np.ndarray:
    """Refine the first axis of `[n, m, 2]` to `count` steps of one pixel."""
    position = np.arange(count) / _GRID_STEP
    index = position.astype(int)
    fraction = (position - index)[:, None, None]
    return coarse[index] * (1.0 - fraction) + coarse[index + 1] * fraction


TRANSFORMS: dict[str, type[Transform]] = {
    cls.family: cls for cls in (Homography, Quadratic)
}

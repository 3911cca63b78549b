"""What all transforms share: saving, and warping an image through the inverse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np

if TYPE_CHECKING:
    from rkd_jax.matching.transforms.homography import Homography

_STRIP_POINTS = 1 << 20  # points inverted at once while warping: bounds the memory
_GRID_STEP = 4  # pixels between the points that a curved inverse is solved at
_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}


def as_points(points: Any) -> np.ndarray:
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

    def projective(self) -> Homography:
        """Return the projective part, in pixels: without curvature and correction."""
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
        from rkd_jax.matching.transforms import TRANSFORMS

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


class CurvedTransform(Transform):
    """A transform whose inverse is costly: images are warped on a coarse grid."""

    def _inverse_rows(self, top: int, bottom: int, width: int) -> np.ndarray:
        return coarsely(self.apply_inverse, top, bottom, width)


def coarsely(
    inverse: Callable[[np.ndarray], np.ndarray], top: int, bottom: int, width: int
) -> np.ndarray:
    """Evaluate a smooth map at every 4th pixel, and bilinearly between.

    Off by the map's second derivative times 2 px^2: under .01 px for a bend of tens of
    pixels.

    Args:
        inverse: of points `[..., 2]`.
        top: first row.
        bottom: the row after the last.
        width: columns.

    Returns:
        The map at the pixels, `[bottom - top, width, 2]`.
    """
    rows = np.arange(top, bottom + _GRID_STEP, _GRID_STEP)
    columns = np.arange(0, width + _GRID_STEP, _GRID_STEP)
    coarse = inverse(np.stack(np.meshgrid(columns, rows), axis=-1))
    coarse = _interpolate(coarse, bottom - top)
    return _interpolate(coarse.swapaxes(0, 1), width).swapaxes(0, 1)


def _interpolate(coarse: np.ndarray, count: int) -> np.ndarray:
    """Refine the first axis of `[n, m, 2]` to `count` steps of one pixel."""
    position = np.arange(count) / _GRID_STEP
    index = position.astype(int)
    fraction = (position - index)[:, None, None]
    return coarse[index] * (1.0 - fraction) + coarse[index + 1] * fraction

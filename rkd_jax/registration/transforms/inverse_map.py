"""Where each pixel of the fixed image lies in the moving one, quickly and bounded.

A transform's inverse can be costly (Newton's method on a spline), but it is smooth. It
is solved at every 16th pixel; between these points it is interpolated, and solved at
more of them only where that would not be exact enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from rkd_jax.registration.transforms.sampling import (
    as_dtype,
    check_interpolation,
    samplable,
    sample,
)

TOLERANCE_PX = 0.05  # of the moving image; OpenCV rounds places to 1/32 px anyway
_STEP_PX = 16  # between the first points; a power of 2
# The second differences are those of a few points: between them may lie larger ones,
# above all beside a fold, where cells are split.
_SAFETY, _SAFETY_SPLIT = 2.0, 4.0
_RIM_PX = 2.0  # around the moving image: what an interpolation at its edge reads
_STRIP_POINTS = 1 << 20  # pixels of the map at once: bounds the memory
_SOLVED_AT_ONCE = 1 << 17  # points given to the inverse at once: the same


class Layer(NamedTuple):
    """An image to draw in the fixed frame.

    Attributes:
        image: `[H, W]` or `[H, W, C]` of any numeric dtype.
        interpolation: "nearest", "linear" or "cubic".
        fill: value outside the moving image.
    """

    image: np.ndarray
    interpolation: str = "linear"
    fill: float = 0.0


class InverseMap:
    """The inverse of a transform at every pixel of the fixed image.

    Where a pixel shows the moving image, the map is off by at most the tolerance. With
    h between two points, linear interpolation is off by at most h^2 / 8 times the
    second derivative, and h^2 times the second derivative is the second difference of
    the points. Cells of the grid in which a multiple of this bound (for x and y
    together) is above the tolerance are split until it is not, at last to single
    pixels. Cells with a point where the inverse is undefined are split, too; a pixel is
    undefined (NaN) where the inverse is. (Beside a fold Newton's method fails at single
    pixels between others. Such a pixel may be interpolated.)

    Args:
        inverse: maps fixed points `[N, 2]` (x, y) to the moving image, float64; NaN
            where undefined.
        out_size: (height, width) of the fixed image.
        in_size: (height, width) of the moving image.
        tolerance_px: largest deviation in pixels of the moving image.
        margin_px: how far around the moving image the map must be as exact.

    Example:
        >>> halves = InverseMap(lambda points: 0.5 * points, (40, 50), (20, 25))
        >>> [(rows, x[2, 7], y[2, 7]) for rows, x, y in halves.strips()]
        [(slice(0, 40, None), np.float32(3.5), np.float32(1.0))]
    """

    def __init__(
        self,
        inverse: Callable[[np.ndarray], np.ndarray],
        out_size: tuple[int, int],
        in_size: tuple[int, int],
        *,
        tolerance_px: float = TOLERANCE_PX,
        margin_px: float = 0.0,
    ) -> None:
        self._inverse = inverse
        self._out_size, self._in_size = tuple(out_size), tuple(in_size)
        self._tolerance = tolerance_px
        rim = _RIM_PX + max(margin_px, 0.0)
        self._low = np.full(2, -rim)
        self._high = np.array([in_size[1], in_size[0]]) - 1 + rim
        # One point more on each side, for the second differences at the edge.
        rows, columns = (
            np.arange(-1, -(-side // _STEP_PX) + 2) * _STEP_PX for side in out_size
        )
        nodes = self._solve(np.stack(np.meshgrid(columns, rows), axis=-1))
        self._nodes = nodes[1:-1, 1:-1].astype(np.float32)
        self._open = self._to_split(nodes)

    def _solve(self, points: np.ndarray) -> np.ndarray:
        """Return the inverse at points `[..., 2]`, float64."""
        flat = points.reshape(-1, 2).astype(np.float64)
        found = np.empty_like(flat)
        for start in range(0, len(flat), _SOLVED_AT_ONCE):
            part = slice(start, start + _SOLVED_AT_ONCE)
            found[part] = self._inverse(flat[part])
        return found.reshape(points.shape)

    def _is_outside(
        self, lowest: np.ndarray, highest: np.ndarray, bound: np.ndarray
    ) -> np.ndarray:
        """Return which cells `[...]` lie beside the moving image.

        Args:
            lowest: `[..., 2]` of the places at a cell's points.
            highest: `[..., 2]` of them.
            bound: `[...]` px, of the deviation between the points.
        """
        off = bound[..., None]
        beside = (highest + off < self._low) | (lowest - off > self._high)
        return beside.any(axis=-1)

    def _to_split(self, nodes: np.ndarray) -> np.ndarray:
        """Return which cells of `[R + 3, C + 3, 2]` points to split, `[R, C]` bool."""
        middle = nodes[1:-1, 1:-1]
        along = _length(nodes[1:-1, 2:] - 2 * middle + nodes[1:-1, :-2])
        down = _length(nodes[2:, 1:-1] - 2 * middle + nodes[:-2, 1:-1])
        spread = _of_cells(np.maximum, along, 1) + _of_cells(np.maximum, down, 1)
        bound = _SAFETY / 8 * spread
        outside = self._is_outside(
            _of_cells(np.minimum, middle, 1), _of_cells(np.maximum, middle, 1), bound
        )
        # Undefined at all points around: undefined in the cell.
        void = _of_cells(np.logical_and, np.isnan(nodes[..., 0]), 3)
        return ~((bound <= self._tolerance) | outside | void)

    def _split(self, corners: np.ndarray, side: int) -> np.ndarray:
        """Return the map in square cells of `side` px, `[N, side, side, 2]`.

        Args:
            corners: `[N, 2]` the first pixel (x, y) of each cell.
            side: a power of 2, at least 2.
        """
        step = side // 2
        offsets = np.arange(2 if step == 1 else 3) * step
        grid = np.stack(np.meshgrid(offsets, offsets), axis=-1)
        nodes = self._solve(corners[:, None, None] + grid)
        if step == 1:
            return nodes.astype(np.float32)
        along = _length(nodes[:, :, 2] - 2 * nodes[:, :, 1] + nodes[:, :, 0])
        down = _length(nodes[:, 2] - 2 * nodes[:, 1] + nodes[:, 0])
        bound = _SAFETY_SPLIT / 8 * (along.max(axis=1) + down.max(axis=1))
        outside = self._is_outside(
            nodes.min(axis=(1, 2)), nodes.max(axis=(1, 2)), bound
        )
        coarse = ~((bound <= self._tolerance) | outside)
        cells = _between(_between(nodes.astype(np.float32), 1, step), 2, step)
        if coarse.any():
            parts = corners[coarse][:, None, None] + grid[:2, :2]
            finer = self._split(parts.reshape(-1, 2), step)
            finer = finer.reshape(-1, 2, 2, step, step, 2).transpose(0, 1, 3, 2, 4, 5)
            cells[coarse] = finer.reshape(-1, side, side, 2)
        return cells

    def strips(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield strips of rows, and the columns and rows that their pixels come from.

        Yields:
            The rows, and float32 `[rows, width]` twice: x and y in the moving image.
        """
        height, width = self._out_size
        cells = max(1, _STRIP_POINTS // (_STEP_PX * max(1, width)))
        for first in range(0, len(self._open), cells):
            nodes = self._nodes[first : first + cells + 1]
            # x and y apart, as OpenCV wants them.
            planes = np.ascontiguousarray(nodes.transpose(2, 0, 1))
            planes = _between(_between(planes, 2, _STEP_PX), 1, _STEP_PX)
            self._set_split_cells(planes, first, self._open[first : first + cells])
            top = first * _STEP_PX
            bottom = min(height, top + planes.shape[1])
            x, y = planes[:, : bottom - top, :width]
            yield slice(top, bottom), np.ascontiguousarray(x), np.ascontiguousarray(y)

    def _set_split_cells(
        self, planes: np.ndarray, first: int, to_split: np.ndarray
    ) -> None:
        """Set x and y `[2, rows, columns]` in the cells that must be split.

        Args:
            planes: of whole cells; changed in place.
            first: row of cells that they begin with.
            to_split: `[R, C]` bool, of these cells.
        """
        rows, columns = np.nonzero(to_split)
        if not len(rows):
            return
        corners = np.stack([columns, rows + first], axis=1) * _STEP_PX
        found = self._split(corners, _STEP_PX)
        by_cell = planes.reshape(2, len(to_split), _STEP_PX, -1, _STEP_PX)
        by_cell[:, rows, :, columns] = found.transpose(0, 3, 1, 2)

    def draw(self, layers: Sequence[Layer]) -> list[np.ndarray]:
        """Draw images of the moving image's size in the fixed frame.

        Drawn at once, they cost little more than one of them.

        Returns:
            For each layer `[H', W'(, C)]` with the dtype of its image.

        Raises:
            ValueError: an image of another size, or an unknown interpolation.
        """
        images, drawn = [], []
        for layer in layers:
            check_interpolation(layer.interpolation)
            image = np.asarray(layer.image)
            if image.shape[:2] != self._in_size:
                raise ValueError(
                    f"image: expected height and width {self._in_size}, found "
                    f"{image.shape[:2]}"
                )
            drawn.append(np.empty((*self._out_size, *image.shape[2:]), image.dtype))
            images.append(samplable(image, layer.interpolation))
        far = -2.0 * max(self._in_size)
        for rows, x, y in self.strips():
            for places in (x, y):
                cv2.patchNaNs(places, far)
                np.clip(places, far, -2 * far, out=places)
            for layer, image, out in zip(layers, images, drawn, strict=True):
                values = sample(image, x, y, layer.interpolation, layer.fill)
                out[rows] = as_dtype(values, out.dtype)
        return drawn


def _length(vectors: np.ndarray) -> np.ndarray:
    """Return the lengths of `[..., 2]`."""
    return np.hypot(vectors[..., 0], vectors[..., 1])


def _of_cells(function: np.ufunc, nodes: np.ndarray, reach: int) -> np.ndarray:
    """Combine the values of points `[R, C, ...]` with those up to `reach` after them.

    Returns:
        `[R - reach, C - reach, ...]`: with reach 1, of the four corners of each cell.
    """
    rows, columns = (count - reach for count in nodes.shape[:2])
    shifts = range(reach + 1)
    nodes = function.reduce([nodes[i : i + rows] for i in shifts])
    return function.reduce([nodes[:, i : i + columns] for i in shifts])


def _between(nodes: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Interpolate linearly along an axis: n points, `step` apart, to (n - 1) * step."""
    count = nodes.shape[axis] - 1
    start = nodes[(slice(None),) * axis + (slice(count),)]
    rise = np.diff(nodes, axis=axis)
    shape = [1] * (nodes.ndim + 1)
    shape[axis + 1] = step
    share = (np.arange(step, dtype=np.float32) / np.float32(step)).reshape(shape)
    found = np.expand_dims(rise, axis + 1) * share
    found += np.expand_dims(start, axis + 1)
    shape = list(nodes.shape)
    shape[axis] = count * step
    return found.reshape(shape)

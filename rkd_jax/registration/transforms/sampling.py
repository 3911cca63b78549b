"""Values of an image at places between its pixels, for images of any size."""

from __future__ import annotations

import cv2
import numpy as np

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}
OF_OPENCV = (np.uint8, np.uint16, np.float32)
"""What OpenCV interpolates without rounding; others become float32 first."""
_LONGEST_PX = 32766  # OpenCV counts the pixels of `remap` in 16 bits
_RIM_PX = 3  # no interpolation reads a pixel farther from its place


def check_interpolation(name: str) -> None:
    """Raise ValueError unless `sample` has an interpolation of this name."""
    if name not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation: expected one of {sorted(INTERPOLATIONS)}, found {name!r}"
        )


def sample(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, interpolation: str, fill: float
) -> np.ndarray:
    """Return the image's values at places between its pixels.

    OpenCV rounds places to 1/32 px. It refuses sides above 32766 px: such an image is
    cut to the part that is needed, and places are halved until their part is small.

    Args:
        image: `[H, W]` or `[H, W, C]`, uint8, uint16 or float32; with "nearest" of any
            dtype, whose values stay exactly as they are.
        x: `[H', W']` float32, columns; no NaN.
        y: `[H', W']` float32, rows; no NaN.
        interpolation: a key of `INTERPOLATIONS`.
        fill: the value outside the image.

    Returns:
        `[H', W'(, C)]` with the dtype of `image`.

    Example:
        >>> image = np.array([[0, 10], [20, 30]], np.uint8)
        >>> x, y = np.array([[0.5, 9]], np.float32), np.array([[1, 0]], np.float32)
        >>> sample(image, x, y, "linear", 7).tolist()
        [[25, 7]]
    """
    if image.dtype not in OF_OPENCV and interpolation == "nearest":
        return _sample_bytes(image, x, y, fill)
    if max(*image.shape[:2], *x.shape) > _LONGEST_PX:
        return _sample_parts(image, x, y, interpolation, fill)
    drawn = cv2.remap(
        image,
        x,
        y,
        INTERPOLATIONS[interpolation],
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill,) * 4,
    )
    return drawn.reshape(*x.shape, *image.shape[2:])


def _sample_bytes(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, fill: float
) -> np.ndarray:
    """Return the nearest pixels of an image of any dtype: their bytes are copied."""
    size = image.itemsize * int(np.prod(image.shape[2:], dtype=int))
    pixels = np.ascontiguousarray(image).view(np.uint8)
    pixels = pixels.reshape(*image.shape[:2], size)
    drawn = np.ascontiguousarray(sample(pixels, x, y, "nearest", 0))
    drawn = drawn.view(image.dtype).reshape(*x.shape, *image.shape[2:])
    if fill:
        inside = np.ones(image.shape[:2], np.uint8)
        drawn[sample(inside, x, y, "nearest", 0) == 0] = fill
    return drawn


def _sample_parts(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, interpolation: str, fill: float
) -> np.ndarray:
    """Sample from the part of the image that is needed; halve what needs too much."""
    height, width = image.shape[:2]
    inside = (x > -_RIM_PX) & (x < width - 1 + _RIM_PX)
    inside &= (y > -_RIM_PX) & (y < height - 1 + _RIM_PX)
    if not inside.any():
        return np.full((*x.shape, *image.shape[2:]), fill).astype(image.dtype)
    left, right = _needed(x[inside], width)
    top, bottom = _needed(y[inside], height)
    if max(right - left, bottom - top, *x.shape) <= _LONGEST_PX:
        part = image[top:bottom, left:right]
        return sample(part, x - left, y - top, interpolation, fill)
    axis = int(x.shape[1] >= x.shape[0])
    halves = zip(*(np.array_split(values, 2, axis) for values in (x, y)), strict=True)
    done = [sample(image, *half, interpolation, fill) for half in halves]
    return np.concatenate(done, axis)


def _needed(places: np.ndarray, count: int) -> tuple[int, int]:
    """Return the first pixel of an axis that places need, and the end (exclusive)."""
    first = int(np.floor(places.min())) - _RIM_PX
    last = int(np.ceil(places.max())) + _RIM_PX + 1
    return min(max(first, 0), count - 1), max(min(last, count), 1)

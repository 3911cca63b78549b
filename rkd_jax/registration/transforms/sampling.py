"""Values of an image at places between its pixels, for images of any size."""

from __future__ import annotations

import cv2
import numpy as np

INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
}
# OpenCV's `remap` weighs other numbers, and other counts of channels, by places rounded
# to 1/32 px, or stops.
_NATIVE = (np.uint8, np.uint16, np.float32)
_CHANNELS = (1, 3, 4)
_LONGEST_PX = 32766  # OpenCV counts the pixels of `remap` in 16 bits
_RIM_PX = 3  # no interpolation reads a pixel farther from its place


def check_interpolation(name: str) -> None:
    """Raise ValueError unless `sample` has an interpolation of this name."""
    if name not in INTERPOLATIONS:
        raise ValueError(
            f"interpolation: expected one of {sorted(INTERPOLATIONS)}, found {name!r}"
        )


def samplable(image: np.ndarray, interpolation: str) -> np.ndarray:
    """Return an image as `sample` takes it; `as_dtype` brings the values back.

    Nearest takes numbers of any type as they are, so that each label stays exact; means
    of pixels are taken in float32.
    """
    if image.dtype in _NATIVE or interpolation == "nearest":
        return image
    return image.astype(np.float32)


def as_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values as another dtype: whole numbers are rounded, not cut.

    >>> as_dtype(np.array([1.6, -3.0, 300.0]), np.dtype(np.uint8)).tolist()
    [2, 0, 255]
    """
    if values.dtype == dtype or dtype.kind == "f":
        return values.astype(dtype, copy=False)
    if dtype.kind == "b":
        return values >= 0.5
    limits = np.iinfo(dtype)
    low, high = float(limits.min), float(limits.max)
    if dtype.itemsize > 2:
        # Float32 would round the limits up, and the cast then turn them around.
        values = values.astype(np.float64)
        high = high if high <= limits.max else float(np.nextafter(high, 0.0))
    return np.rint(values).clip(low, high).astype(dtype)


def sample(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, interpolation: str, fill: float
) -> np.ndarray:
    """Return the image's values at places between its pixels.

    OpenCV rounds places to 1/32 px. It refuses sides above 32766 px: such an image is
    cut to the part that is needed, and places are halved until their part is small.

    Args:
        image: `[H, W]` or `[H, W, C]`, of `samplable`.
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
    if image.dtype not in _NATIVE:
        return _nearest(image, x, y, fill)
    if image.ndim == 3 and image.shape[2] not in _CHANNELS:
        planes = (np.ascontiguousarray(plane) for plane in np.moveaxis(image, 2, 0))
        done = [sample(plane, x, y, interpolation, fill) for plane in planes]
        return np.stack(done, axis=-1)
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


def _nearest(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, fill: float
) -> np.ndarray:
    """Return the values of the nearest pixels, of any dtype."""
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    height, width = image.shape[:2]
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    out = np.full((*x.shape, *image.shape[2:]), fill, image.dtype)
    out[inside] = image[row[inside], column[inside]]
    return out


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

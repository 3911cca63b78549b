"""From a photograph as read to the square that a classifier takes.

Training and use both go through these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from rkd_jax.images.prepare import field_box

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the red, green and blue of ImageNet's photographs, in 0..1."""


def prepare(image: np.ndarray, size: int, crop_field: bool = False) -> np.ndarray:
    """Resize a photograph to a square, whatever its shape.

    Sides that shrink are averaged over areas, sides that grow are interpolated.

    Args:
        image: uint8 `[H, W, 3]`, or grey `[H, W]`.
        size: side S of the result in px.
        crop_field: cut to the camera's field of view first, see `used_box`.

    Returns:
        uint8 `[S, S, 3]`.

    Raises:
        ValueError: an array of another type or shape.

    >>> prepare(np.zeros((40, 80, 3), np.uint8), 24).shape
    (24, 24, 3)
    """
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"image is {image.dtype} {image.shape}; expected uint8 [H, W, 3] or [H, W]"
        )
    x0, y0, x1, y1 = used_box(image, crop_field)
    part = np.ascontiguousarray(image[y0:y1, x0:x1])
    # OpenCV averages only where both sides shrink: the one that grows comes second.
    fewer = min(x1 - x0, size), min(y1 - y0, size)
    part = cv2.resize(part, fewer, interpolation=cv2.INTER_AREA)
    return cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)


def used_box(image: np.ndarray, crop_field: bool) -> tuple[int, int, int, int]:
    """Return the part of a photograph that a classifier is given.

    Args:
        image: `[H, W]` or `[H, W, 3]`.
        crop_field: the box of the camera's field of view, not the whole image; the
            whole image where no field stands out.

    Returns:
        (x0, y0, x1, y1) in px with x1, y1 exclusive.

    >>> used_box(np.zeros((40, 80), np.uint8), crop_field=False)
    (0, 0, 80, 40)
    """
    height, width = image.shape[:2]
    return field_box(image) if crop_field else (0, 0, width, height)


def normalize(images: Any, mean: Sequence[float], std: Sequence[float]) -> Any:
    """Return images less a mean, divided by a standard deviation, channel by channel.

    Args:
        images: `[..., C]`, uint8, or float in 0..1; NumPy or JAX.
        mean: of each of the C channels, in 0..1.
        std: likewise.

    Returns:
        float32 `[..., C]`, NumPy or JAX as it came.

    >>> normalize(np.full((1, 1, 3), 255, np.uint8), (0.5,) * 3, (0.25,) * 3).tolist()
    [[[2.0, 2.0, 2.0]]]
    """
    xp = images.__array_namespace__()
    shape = (*(1,) * (images.ndim - 1), len(mean))
    center, spread = (
        xp.asarray(v, dtype=xp.float32).reshape(shape) for v in (mean, std)
    )
    whole = images.dtype == np.uint8
    images = images.astype(xp.float32)
    if whole:
        images = images / xp.asarray(255, dtype=xp.float32)
    return (images - center) / spread

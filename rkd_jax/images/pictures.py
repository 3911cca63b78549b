"""Pictures for people: any image as 8-bit RGB, and as the bytes of a PNG file."""

from __future__ import annotations

import cv2
import numpy as np


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8 RGB for display.

    Args:
        image: `[H, W]` or `[H, W, 3]`, uint8, or float in 0..1.

    Example:
        >>> to_rgb8(np.full((2, 2), 0.5, np.float32))[0, 0].tolist()
        [128, 128, 128]
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        image = np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    return np.ascontiguousarray(image)


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image as PNG.

    Args:
        image: `[H, W]`, or `[H, W, 3 or 4]` RGB with transparency, uint8 or uint16.

    Raises:
        ValueError: OpenCV cannot encode such an array.

    Example:
        >>> encode_png(np.zeros((2, 3, 3), np.uint8))[1:4]
        b'PNG'
    """
    if image.ndim == 3:
        swap = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(image, swap)
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()

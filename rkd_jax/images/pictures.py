"""Pictures for people: any image as 8-bit RGB, and as the bytes of a file."""

from __future__ import annotations

import io
from collections.abc import Sequence

import cv2
import numpy as np

_JPEG_QUALITY = 92
_TIFF_DEFLATE = 8  # every reader has it; LZW makes noise larger than it was


def to_uint8(image: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Return an image as uint8 for display.

    Args:
        image: uint8, which stays as it is, or float in 0..1.
        scale: what floats are multiplied with first; too bright ones become white.

    >>> to_uint8(np.full((1, 2), 0.25, np.float32), scale=2.0).tolist()
    [[128, 128]]
    """
    image = np.asarray(image)
    if image.dtype == np.uint8:
        return image
    if image.dtype not in (np.float32, np.float64):
        image = image.astype(np.float32)
    # `convertScaleAbs` would turn what is below zero into its opposite.
    flat = cv2.multiply(image, (255.0 * scale,) * 4, dtype=cv2.CV_8U)
    return flat.reshape(image.shape)


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8 RGB for display.

    Args:
        image: `[H, W]` or `[H, W, 3]`, uint8, or float in 0..1.

    Example:
        >>> to_rgb8(np.full((2, 2), 0.5, np.float32))[0, 0].tolist()
        [128, 128, 128]
    """
    image = to_uint8(image)
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(image)


def display_scale(image: np.ndarray) -> float:
    """Return by what to multiply an image so that one can see it.

    Cameras of 10 to 14 bits leave most of a 16-bit file's range empty, and the picture
    black. 1 for 8 bits, and where the values reach half of the range.

    Args:
        image: uint8, or float in 0..1.

    >>> display_scale(np.full((2, 2), 0.0625, np.float32))
    16.0
    """
    if image.dtype == np.uint8:
        return 1.0
    highest = float(image.max())
    return 1.0 if highest <= 0.0 or highest >= 0.5 else 1.0 / highest


def visible_rgb8(image: np.ndarray) -> np.ndarray:
    """Return an image as uint8 RGB in which one can see it; see `display_scale`.

    Args:
        image: `[H, W]` or `[H, W, 3]`.

    Example:
        >>> visible_rgb8(np.full((1, 1), 7, np.uint8)).tolist()
        [[[7, 7, 7]]]
    """
    return to_rgb8(to_uint8(image, display_scale(image)))


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
    return encode(image, "png")


def encode(image: np.ndarray, image_format: str) -> bytes:
    """Encode an image as the bytes of a file.

    Args:
        image: `[H, W]` or `[H, W, 3]` RGB: uint8; uint16 for PNG and TIFF; float32 for
            TIFF.
        image_format: "png", "jpg" or "tiff".

    Raises:
        ValueError: OpenCV cannot encode such an array.

    Example:
        >>> encode(np.zeros((2, 3), np.float32), "tiff")[:2]
        b'II'
    """
    if image.ndim == 3:
        swap = cv2.COLOR_RGBA2BGRA if image.shape[2] == 4 else cv2.COLOR_RGB2BGR
        image = cv2.cvtColor(image, swap)
    options = {
        "jpg": [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
        "tiff": [cv2.IMWRITE_TIFF_COMPRESSION, _TIFF_DEFLATE],
    }
    done, data = cv2.imencode(f".{image_format}", image, options.get(image_format, []))
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def encode_gif(frames: Sequence[np.ndarray], *, frame_ms: int) -> bytes:
    """Encode pictures as a GIF that shows them in turn, without end.

    All frames share one palette of 256 colors, so that only the picture changes, not
    its colors.

    Args:
        frames: `[H, W, 3]` RGB uint8 each, of one size.
        frame_ms: how long each is shown, in milliseconds.

    Example:
        >>> shown = [np.full((4, 4, 3), value, np.uint8) for value in (0, 90)]
        >>> encode_gif(shown, frame_ms=500)[:6]
        b'GIF89a'
    """
    from PIL import Image

    # Every fourth row and column have the colors of all, in a fraction of the time.
    step = 4 if min(frames[0].shape[:2]) > 128 else 1
    sample = np.concatenate([frame[::step, ::step] for frame in frames])
    palette = Image.fromarray(sample).quantize(256, method=Image.Quantize.MEDIANCUT)
    mapped = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    file = io.BytesIO()
    mapped[0].save(
        file,
        format="GIF",
        save_all=True,
        append_images=mapped[1:],
        duration=frame_ms,
        loop=0,
        optimize=False,
    )
    return file.getvalue()

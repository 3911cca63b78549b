"""Read one photograph from a path, from bytes or from an array, and check it."""

from __future__ import annotations

import contextlib
import io
import os
import pathlib
import struct
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

MAX_MEGAPIXELS = 100.0
MIN_SIDE_PX = 32
_OPEN_LOCK = threading.Lock()


def describe(source: Any) -> str:
    """Name an image source for an error message.

    >>> describe(b"12"), describe("eye.png")
    ('2 bytes of image data', 'eye.png')
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"{len(source)} bytes of image data"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return f"array of shape {tuple(np.shape(source))}"


def read_image(
    source: str | os.PathLike | bytes | np.ndarray,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
    name: str | None = None,
) -> np.ndarray:
    """Read one image from a path, from encoded bytes or from an array.

    Palette, CMYK and other colour spaces become RGB; transparency is laid over
    black, as outside the camera's circle; of an animation the first frame counts.
    The EXIF orientation is applied (as `cv2.imread` does), so "file pixels" are
    those of the picture as it is shown.

    Args:
        source: path, encoded bytes (PNG, JPEG, TIFF, ...), or an array [H, W],
            [H, W, 1], [H, W, 3] or [H, W, 4] (RGB order): uint8, uint16 (0..65535)
            or float. Float arrays whose largest value is at most 1 are taken as
            0..1, others as 0..255.
        max_megapixels: larger images are refused; of files, before decoding.
        name: what to call the image in an error; by default `describe(source)`.

    Returns:
        [H, W] (grey) or [H, W, 3] (RGB): uint8, or float32 in 0..1 where the
        source has more than 8 bits.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an image, damaged, too large, or an array of another form.
        TypeError: neither path, bytes nor a numeric array.

    >>> read_image(np.zeros((4, 5, 1), np.uint8)).shape
    (4, 5)
    """
    name = describe(source) if name is None else name
    if isinstance(source, (str, os.PathLike)):
        path = pathlib.Path(source)
        if not path.exists():
            raise FileNotFoundError(f"{name}: no such image file; check the path")
        if not path.is_file():
            raise ValueError(f"{name}: expected an image file, found a folder")
        source = path.read_bytes()
    if isinstance(source, (bytes, bytearray, memoryview)):
        loaded = open_image(bytes(source), name=name, max_megapixels=max_megapixels)
        return _from_array(_pixels(loaded), name)
    image = np.asarray(source)
    if image.ndim in (2, 3):
        _check_megapixels(image.shape[1], image.shape[0], name, max_megapixels)
    return _from_array(image, name)


def check_sides(width: int, height: int, name: str) -> None:
    """Raise a ValueError if a side of an image is shorter than `MIN_SIDE_PX`."""
    if min(height, width) < MIN_SIDE_PX:
        raise ValueError(
            f"{name}: image is {width}x{height} px; both sides must be at least "
            f"{MIN_SIDE_PX} px: give a photograph, not a thumbnail"
        )


def _check_megapixels(width: int, height: int, name: str, limit: float) -> None:
    megapixels = width * height / 1e6
    if megapixels > limit:
        raise ValueError(
            f"{name}: image is {width}x{height} ({megapixels:.1f} megapixels), the "
            f"limit is {limit:g}; downscale it or raise max_megapixels"
        )


@contextlib.contextmanager
def _own_size_limit() -> Iterator[None]:
    """Let our limit, not Pillow's global one, decide which sizes may be opened."""
    from PIL import Image

    with _OPEN_LOCK:
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def open_image(
    data: bytes, *, name: str = "image", max_megapixels: float = MAX_MEGAPIXELS
) -> Any:
    """Decode bytes with Pillow, upright by their EXIF orientation.

    Args:
        data: an encoded image.
        name: what to call it in an error.
        max_megapixels: larger images are refused before decoding.

    Returns:
        A loaded `PIL.Image.Image` in the file's own mode.

    Raises:
        ValueError: empty, not an image, damaged, truncated or too large.
    """
    from PIL import Image, ImageOps

    if not data:
        raise ValueError(f"{name}: the file is empty (0 bytes); fetch it again")
    damages = (OSError, SyntaxError, ValueError, EOFError, struct.error)
    try:
        with _own_size_limit():
            image = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        raise ValueError(
            f"{name}: not an image that Pillow can read (first bytes "
            f"{data[:8]!r}); expected PNG, JPEG, TIFF, BMP, GIF or PPM"
        ) from None
    except damages as error:
        raise ValueError(f"{name}: damaged image ({error}); fetch it again") from error
    _check_megapixels(*image.size, name, max_megapixels)
    try:
        image.load()
        return ImageOps.exif_transpose(image)
    except damages as error:
        raise ValueError(
            f"{name}: damaged or truncated image ({error}); fetch it again"
        ) from error


def without_palette(image: Any) -> Any:
    """Return a Pillow palette image as grey, RGB or RGBA; others as they are."""
    if image.mode != "P":
        return image
    if "transparency" in image.info:
        return image.convert("RGBA")
    image = image.convert("RGB")
    bands = np.asarray(image)
    return image.convert("L") if (bands == bands[..., :1]).all() else image


def _pixels(image: Any) -> np.ndarray:
    """Return the pixels of a loaded Pillow image in a form `_from_array` accepts."""
    image = without_palette(image)
    mode = image.mode
    keyed = mode in ("1", "L", "RGB") and "transparency" in image.info
    if keyed or mode in ("LA", "La", "PA", "RGBa"):
        return np.asarray(image.convert("RGBA"))
    if mode in ("L", "RGB", "RGBA", "F"):
        return np.asarray(image)
    if mode.startswith("I"):  # 16-bit grey; "I" is how some decoders hand it out
        return np.asarray(image).astype(np.int64).clip(0, 65535).astype(np.uint16)
    return np.asarray(image.convert("L" if mode == "1" else "RGB"))


def _from_array(image: np.ndarray, name: str) -> np.ndarray:
    """Check an array and bring it to uint8 or float32 in 0..1, grey or RGB."""
    if image.dtype == bool or image.dtype.kind not in "uif":
        raise TypeError(
            f"{name}: dtype {image.dtype}; expected uint8, uint16 or float pixels"
        )
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ValueError(
            f"{name}: shape {image.shape}; expected [H, W], [H, W, 1], [H, W, 3] or "
            "[H, W, 4]"
        )
    if not image.size:
        raise ValueError(f"{name}: the image has no pixels (shape {image.shape})")
    if image.dtype != np.uint8:
        image = _to_unit_range(image, name)
    if image.ndim == 2 or image.shape[2] == 3:
        return image
    color, alpha = image[..., :3], image[..., 3:]
    if image.dtype == np.uint8:
        over_black = color.astype(np.uint16) * alpha + 127
        return (over_black // 255).astype(np.uint8)
    return color * alpha


def _to_unit_range(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError(f"{name}: the image holds NaN or infinite values; remove them")
    low, high = float(image.min()), float(image.max())
    if image.dtype == np.uint16:
        top = 65535.0
    elif image.dtype.kind == "f":
        top = 1.0 if high <= 1.0 else 255.0
    else:
        top = 255.0
    if low < 0 or high > top:
        raise ValueError(
            f"{name}: {image.dtype} values from {low:g} to {high:g}; expected 0..1 or "
            "0..255 (0..65535 for uint16): rescale the array"
        )
    return (image.astype(np.float64) / top).astype(np.float32)

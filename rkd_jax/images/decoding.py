"""From the bytes of an image file to its pixels: the one place that calls decoders.

Pillow decodes 8-bit images. Colors of more bits, which Pillow reduces to 8, come from
OpenCV, and what neither reads of TIFF from `tiff_pixels`.
"""

from __future__ import annotations

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from rkd_jax.images import foreign_files
from rkd_jax.images.foreign_files import RefusedError
from rkd_jax.images.formats import (
    jpeg_segments,
    png_chunks,
    tiff,
    tiff_pixels,
    tiff_plain,
)
from rkd_jax.images.orientation import orientation_of, turned

T = TypeVar("T")
MAX_SIDE_PX = 32766
"""OpenCV's functions that warp pictures take no longer side."""
# Formats whose decoders run in this process and respect the size that they declare
# (PostScript starts a program; an icon may hold a larger picture than it says).
_FORMATS = (
    *("PNG", "JPEG", "MPO", "TIFF", "BMP", "DIB", "GIF", "PPM", "WEBP", "JPEG2000"),
    *("AVIF", "PSD", "PCX", "SGI", "SUN", "QOI", "MSP", "XBM", "DDS", "TGA"),
)
# Of phones and stereo cameras the first picture is the photograph; of PSD the layers
# are parts of it.
_FIRST_IS_WHOLE = ("MPO", "PSD")
_HEADER_LOCK = threading.Lock()


def decode(data: bytes, name: str, max_megapixels: float) -> np.ndarray:
    """Decode an image file, upright by its EXIF orientation.

    Whatever a decoder raises becomes an error that names the file.

    Args:
        data: the content of the file.
        name: what to call it in an error.
        max_megapixels: larger images are refused before decoding.

    Returns:
        `[H, W]`, or `[H, W, 3 or 4]` RGB with transparency: uint8, uint16 or float.

    Raises:
        ValueError: empty, not an image, damaged, truncated, of several pictures or too
            large.
    """
    return naming_errors(data, name, lambda: _decoded(data, max_megapixels))


def naming_errors(data: bytes, name: str, read: Callable[[], T]) -> T:
    """Return what `read` makes of a file; turn what it raises into an error of ours.

    Args:
        data: the content of the file.
        name: what to call it in an error.
        read: decodes the data.

    Raises:
        ValueError: whatever goes wrong; the message names the file.
    """
    if not data:
        raise ValueError(f"{name}: the file is empty (0 bytes); fetch it again")
    try:
        return read()
    except RefusedError as error:
        raise ValueError(f"{name}: {error}") from None
    except MemoryError as error:
        raise ValueError(
            f"{name}: no memory to decode this image; downscale it"
        ) from error
    # Decoders raise whatever their code meets in damaged bytes.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")[:200]
        raise ValueError(
            f"{name}: damaged or truncated image ({reason}); fetch it again"
        ) from error


def check_size(width: int, height: int, max_megapixels: float) -> None:
    """Refuse images of no pixels, too many, or too many in a row.

    >>> check_size(40_000, 50, 100)
    Traceback (most recent call last):
    ...
    rkd_jax.images.foreign_files.RefusedError: image is 40000x50 px; ...
    """
    megapixels = width * height / 1e6
    if megapixels > max_megapixels:
        raise RefusedError(
            f"image is {width}x{height} ({megapixels:.1f} megapixels), the limit is "
            f"{max_megapixels:g}; downscale it or raise max_megapixels"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise RefusedError(
            f"image is {width}x{height} px; the longer side may have {MAX_SIDE_PX} px "
            "at most: downscale it, or cut it into parts"
        )
    if min(width, height) < 1:
        raise RefusedError(f"the image has no pixels (it is {width}x{height} px)")


def _decoded(data: bytes, max_megapixels: float) -> np.ndarray:
    refuse_foreign(data)
    if tiff.is_tiff(data):
        page = tiff.read_page(data)
        check_size(page.width, page.height, max_megapixels)
        if not tiff_pixels.is_for_pillow(page):
            deep = tiff_pixels.read_pixels(data, page, plain_pixels)
            return turned(deep, page.orientation)
        # Old JPEG has tags of its own; Pillow gets the whole file and turns it itself.
        old = page.compression == tiff.OLD_JPEG
        plain = data if old else tiff_plain.plain_file(data, page)
        try:
            pixels, left = _with_pillow(plain, max_megapixels, page)
        except OSError as error:  # Pillow's word for what a decoder refuses
            raise RefusedError(
                f"{page}: damaged or truncated image, or packed in a way that is not "
                f"read ({error}); fetch it again, or save it without compression"
            ) from error
        pixels = tiff_pixels.without_packing(pixels, page)
        return turned(pixels, left if old else page.orientation)
    return turned(*despite_notes(data, lambda d: _with_pillow(d, max_megapixels)))


def refuse_foreign(data: bytes) -> None:
    """Refuse, by its first bytes, a file that no decoder here reads."""
    foreign = foreign_files.describe(data)
    if foreign:
        raise RefusedError(f"not an image that can be read: {foreign}")


def despite_notes(data: bytes, read: Callable[[bytes], T]) -> T:
    """Return what `read` makes of a file, without its notes if it fails with them.

    Pillow refuses files for damaged notes on resolution, gamma and the like.
    """
    try:
        return read(data)
    except (RefusedError, OSError, SyntaxError, ValueError):
        for kind in (png_chunks, jpeg_segments):
            if data.startswith(kind.SIGNATURE):
                plain = kind.without_notes(data)
                break
        else:
            raise
    return read(plain)


def _with_pillow(
    data: bytes, max_megapixels: float, page: tiff.Page | None = None
) -> tuple[np.ndarray, int]:
    """Return pixels for a photograph, and the orientation."""
    image, top, orientation = load_with_pillow(data, max_megapixels, page)
    pixels = _pixels(image)
    if 255 < top < 2**16 and pixels.ndim == 3:
        pixels = deep_colors(data, pixels, top)
    return pixels, orientation


def load_with_pillow(
    data: bytes, max_megapixels: float, page: tiff.Page | None = None
) -> tuple[Any, int, int]:
    """Return a loaded Pillow image, its `_largest_value` and its orientation."""
    with _reading_header():
        image = _open(data, page)
        size = image.size
        check_size(*size, max_megapixels)
        _refuse_animation(image)
        top = _largest_value(image, data)
    image.load()
    if image.size != size:
        raise RefusedError(
            f"damaged image (its size changed from {size} to {image.size})"
        )
    with _reading_header():
        return image, top, orientation_of(image)


@contextlib.contextmanager
def _reading_header() -> Iterator[None]:
    """Let our limit, not Pillow's global one, decide which sizes may be opened.

    Pillow's warnings are about damaged metadata, which no pixel depends on. Both are
    global in Python, hence the lock.
    """
    from PIL import Image

    with _HEADER_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = kept


def _open(data: bytes, page: tiff.Page | None = None) -> Any:
    from PIL import Image

    Image.init()
    known = [name for name in _FORMATS if name in Image.OPEN]
    try:
        return Image.open(io.BytesIO(data), formats=known)
    except Image.UnidentifiedImageError:
        if page is not None:
            raise RefusedError(
                f"{page}: not read; save it as grey or RGB with 8 or 16 bits a channel"
            ) from None
        what = "a text file, " if foreign_files.is_text(data) else ""
        raise RefusedError(
            f"not an image that Pillow can read ({what}first bytes {data[:8]!r}); "
            "expected PNG, JPEG, TIFF, BMP, GIF, PPM, WebP or JPEG 2000"
        ) from None


def _refuse_animation(image: Any) -> None:
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format not in _FIRST_IS_WHOLE:
        raise RefusedError(
            f"{image.format} of {count} frames; save the frame wanted as a file of its "
            "own"
        )


def _pixels(image: Any) -> np.ndarray:
    """Return the pixels of a loaded Pillow image."""
    image = _without_palette(image)
    mode = image.mode
    keyed = mode in ("1", "L", "RGB") and "transparency" in image.info
    if keyed or mode in ("LA", "La", "PA", "RGBa"):
        return np.asarray(image.convert("RGBA"))
    if mode in ("L", "RGB", "RGBA", "F"):
        return np.asarray(image)
    if mode.startswith("I"):  # 16-bit grey; "I" is how some decoders hand it out
        return np.asarray(image).astype(np.int64).clip(0, 65535).astype(np.uint16)
    if mode == "LAB":
        from PIL import ImageCms

        lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
        return np.asarray(ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"))
    return np.asarray(image.convert("L" if mode == "1" else "RGB"))


def _without_palette(image: Any) -> Any:
    """Return a Pillow palette image as grey, RGB or RGBA; others as they are."""
    if image.mode != "P":
        return image
    if "transparency" in image.info:
        return image.convert("RGBA")
    image = image.convert("RGB")
    bands = np.asarray(image)
    return image.convert("L") if (bands == bands[..., :1]).all() else image


def _largest_value(image: Any, data: bytes) -> int:
    """Return the largest value a sample of a file can have, if it says so; else 0."""
    top = 0
    if image.format == "PNG" and data[24] == 16:
        top = 65535
    elif image.format == "PPM" and image.tile and isinstance(image.tile[0][3], tuple):
        top = image.tile[0][3][-1]
    elif image.format == "JPEG2000":
        start = data.find(b"\xff\x4f\xff\x51")  # the codestream's sizes
        bits = data[start + 42 : start + 43]  # of the first channel, less one
        top = 2 ** (bits[0] + 1) - 1 if start >= 0 and bits and bits[0] < 16 else 0
    return top if isinstance(top, int) else 0


def deep_colors(data: bytes, pixels: np.ndarray, top: int) -> np.ndarray:
    """Return colors with all bits of a file, scaled so that `top` is 65535.

    `pixels` are Pillow's, of 8 bits; they stay where OpenCV's are others.
    """
    import cv2

    # OpenCV expects a character behind the last number of a PPM in words.
    ended = np.frombuffer(data + b"\n", np.uint8)
    deep = cv2.imdecode(ended, cv2.IMREAD_UNCHANGED)
    if deep is None or deep.dtype != np.uint16 or deep.ndim != 3:
        return pixels
    deep = _as_rgb(deep)
    if deep.shape[:2] != pixels.shape[:2] or deep.shape[2] < pixels.shape[2]:
        return pixels
    if top != 65535:
        scaled = deep.astype(np.float32) * np.float32(65535 / top)
        deep = np.rint(scaled).clip(0, 65535).astype(np.uint16)
    apart = np.abs((deep[..., :3] >> 8).astype(np.int16) - pixels[..., :3])
    return deep if apart.max() <= 2 else pixels


def _as_rgb(image: np.ndarray) -> np.ndarray:
    """Return OpenCV's BGR or BGRA pixels in the order of RGB."""
    return np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])


def plain_pixels(data: bytes, page: tiff.Page) -> np.ndarray:
    """Return the pixels of a plain file that `tiff_pixels` asks for."""
    import cv2

    if page.bits == 8:
        with _reading_header():
            image = _open(data, page)
        image.load()
        return np.asarray(image)
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise RefusedError(
            f"{page}: damaged, or packed in a way that is not read; fetch it again, or "
            "save it without compression"
        )
    if pixels.itemsize * 8 != page.bits:
        raise RefusedError(f"{page}: not read; save it as RGB with 8 bits a channel")
    return pixels if pixels.ndim == 2 else _as_rgb(pixels)

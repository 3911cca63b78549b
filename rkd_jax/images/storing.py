"""Write the numbers of an image into a file, without changing them."""

from __future__ import annotations

import io
import pathlib
from typing import Any

import cv2
import numpy as np

from rkd_jax.images.formats.tiff_write import tiff_file
from rkd_jax.images.image_files import plain_name
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.stored import TRANSPARENCY, Stored

_PNG, _TIFF, _JPEG = (".png",), (".tif", ".tiff"), (".jpg", ".jpeg")
SUFFIXES = (*_PNG, *_TIFF, *_JPEG)
_JPEG_QUALITY = 95


def kept_suffix(path: pathlib.Path) -> str:
    """Return the suffix under which an image is written again without loss.

    Args:
        path: of the file that it was read from. PNG and TIFF stay; whatever numbers
            other formats hold, PNG holds, too.

    >>> kept_suffix(pathlib.Path("a.TIF")), kept_suffix(pathlib.Path("a.jpg"))
    ('.TIF', '.png')
    """
    suffix = pathlib.Path(plain_name(path)).suffix
    return suffix if suffix.lower() in (*_PNG, *_TIFF) else _PNG[0]


def encode(stored: Stored, suffix: str) -> bytes:
    """Return an image as the bytes of a file.

    Args:
        stored: the image.
        suffix: of the file, one of `SUFFIXES`. JPEG loses; it is for photographs.

    Raises:
        ValueError: the format cannot hold the numbers.

    >>> encode(Stored(np.zeros((2, 3), np.uint16)), ".png")[1:4]
    b'PNG'
    """
    suffix = suffix.lower()
    if suffix in _JPEG:
        return _jpeg(stored)
    if suffix in _PNG:
        if not _fits_png(stored):
            more = " that are not all color or transparency" * bool(stored.extra)
            raise ValueError(
                f"PNG cannot hold {stored.kind}{more}; let the name end in .tif"
            )
        if stored.of_classes or _channels(stored) == 2:
            return _with_pillow(stored, "PNG")
        return encode_png(stored.pixels)
    if suffix not in _TIFF:
        raise ValueError(
            f"expected a name that ends in {', '.join(SUFFIXES)}, found {suffix!r}"
        )
    if stored.of_classes:
        return _with_pillow(stored, "TIFF")
    return tiff_file(stored.pixels, stored.extra)


def _channels(stored: Stored) -> int:
    return 1 if stored.pixels.ndim == 2 else stored.pixels.shape[2]


def _fits_png(stored: Stored) -> bool:
    if stored.of_classes:
        return True
    channels, dtype = _channels(stored), stored.pixels.dtype
    if stored.extra not in ((), (TRANSPARENCY,)):  # programs would not show the rest
        return False
    colors = channels - len(stored.extra)
    known = (channels, colors) in ((1, 1), (2, 1), (3, 3), (4, 3))
    return known and (dtype == np.uint8 or (dtype == np.uint16 and channels != 2))


def _jpeg(stored: Stored) -> bytes:
    fits = stored.pixels.dtype == np.uint8 and _channels(stored) in (1, 3)
    if stored.of_classes or stored.extra or not fits:
        raise ValueError(
            f"JPEG cannot hold {stored.kind}; let the name end in .png or .tif"
        )
    pixels = stored.pixels if stored.pixels.ndim == 2 else stored.pixels[..., ::-1]
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"OpenCV could not encode {stored.kind}")
    return data.tobytes()


def _with_pillow(stored: Stored, kind: str) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    options: dict[str, Any] = {}
    if stored.palette is not None:
        image = Image.fromarray(stored.pixels)
        # An index beyond the palette becomes black: Pillow would change the index.
        missing = max(0, int(stored.pixels.max()) + 1 - stored.colors)
        black = b"\0\0\0\xff"[: len(stored.palette_mode)]
        palette = stored.palette + missing * black
        image.putpalette(palette, stored.palette_mode)
        if stored.palette_mode == "RGBA" and kind == "PNG":
            options["transparency"] = palette[3::4]
    elif stored.bilevel:
        image = Image.fromarray(stored.pixels.astype(bool))
    else:
        image = Image.fromarray(stored.pixels)
    if kind == "TIFF":
        options["compression"] = "tiff_adobe_deflate"
    image.save(buffer, kind, **options)
    return buffer.getvalue()

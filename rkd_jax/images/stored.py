"""Read the numbers that an image file holds, as they are: masks, labels, channels.

`read_image` brings every photograph to colors of 0 to 1 or of 8 bits. Here no number
is scaled, no palette is applied and no channel is dropped.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from rkd_jax.images import decoding, image_files
from rkd_jax.images.foreign_files import RefusedError
from rkd_jax.images.formats import tiff, tiff_pixels, tiff_plain
from rkd_jax.images.orientation import turned
from rkd_jax.images.reading import MAX_MEGAPIXELS, describe

TRANSPARENCY = 2
"""Of TIFF's extra samples: not laid over black, as in PNG."""
_RGB = 2  # of TIFF's photometrics
_PLAIN = {"L": (), "RGB": (), "F": (), "LA": (TRANSPARENCY,), "RGBA": (TRANSPARENCY,)}


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """The content of an image file, upright by its EXIF orientation.

    Attributes:
        pixels: `[H, W]` or `[H, W, C]` of the file's numbers; of a palette the indices,
            of one bit 0 and 1 (uint8).
        extra: meaning of the channels beyond the colors, as in TIFF: 0 not said, 1 and
            2 transparency.
        palette: what the indices mean, RGB or RGBA bytes in turn; None without one.
        bilevel: whether the file has one bit a pixel.
    """

    pixels: np.ndarray
    extra: tuple[int, ...] = ()
    palette: bytes | None = None
    palette_mode: str = "RGB"
    bilevel: bool = False

    @property
    def of_classes(self) -> bool:
        """Whether a mean of two pixels has no meaning: a palette, or one bit."""
        return self.palette is not None or self.bilevel

    @property
    def colors(self) -> int:
        """How many colors the palette has; 0 without one."""
        return len(self.palette or b"") // len(self.palette_mode)

    @property
    def kind(self) -> str:
        """Say what the file holds.

        >>> Stored(np.zeros((4, 5, 3), np.uint16)).kind
        'an image of uint16 with 3 channels'
        """
        if self.palette is not None:
            return "an image with a palette"
        if self.bilevel:
            return "an image of one bit"
        channels = 1 if self.pixels.ndim == 2 else self.pixels.shape[2]
        return f"an image of {self.pixels.dtype} with {channels} channel" + "s" * (
            channels > 1
        )


def read_stored(
    source: str | os.PathLike[str] | bytes,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Stored:
    """Read an image file without changing its numbers.

    Args:
        source: path (gzipped if it ends in .gz), or encoded bytes.
        max_megapixels: larger images are refused before decoding.

    Raises:
        FileNotFoundError: no such file.
        OSError: a file that the system does not let us read.
        ValueError: not an image, damaged, too large, of several pages, or of colors
            that cannot be read without changing their numbers; the message names the
            file.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "labels.png")
        ...     Image.fromarray(np.full((2, 3), 999, np.uint16)).save(path)
        ...     read_stored(path).pixels.max()
        np.uint16(999)
    """
    if isinstance(source, bytes):
        data = source
    else:
        data = image_files.read_bytes(pathlib.Path(source))
    return decoding.naming_errors(
        data, describe(source), lambda: _stored(data, max_megapixels)
    )


def _stored(data: bytes, max_megapixels: float) -> Stored:
    decoding.refuse_foreign(data)
    if not tiff.is_tiff(data):
        return decoding.despite_notes(data, lambda d: _of_pillow(d, max_megapixels))
    page = tiff.read_page(data)
    decoding.check_size(page.width, page.height, max_megapixels)
    if _has_numbers(page):
        pixels = tiff_pixels.read_numbers(data, page, decoding.plain_pixels)
        colors = 3 if page.photometric == _RGB else 1
        extra = (*page.extra, *[0] * page.samples)[: page.samples - colors]
        if page.samples == 1:
            pixels = pixels[..., 0]
        return Stored(turned(pixels, page.orientation), extra)
    old = page.compression == tiff.OLD_JPEG
    plain = data if old else tiff_plain.plain_file(data, page)
    turn = None if old else page.orientation
    return _of_pillow(plain, max_megapixels, page, turn)


def _has_numbers(page: tiff.Page) -> bool:
    """Decide whether the samples of a picture are its numbers: no palette, no JPEG."""
    return page.photometric in (0, 1, 2) and page.bits in (8, 16, 32, 64)


def _of_pillow(
    data: bytes,
    max_megapixels: float,
    page: tiff.Page | None = None,
    turn: int | None = None,
) -> Stored:
    """Return what Pillow reads, without its conversions.

    Args:
        data: the file.
        max_megapixels: limit.
        page: of a TIFF.
        turn: the orientation, if it is not the file's.
    """
    image, top, orientation = decoding.load_with_pillow(data, max_megapixels, page)
    if top not in (0, 255, 65535):
        raise RefusedError(
            f"{image.format} of values up to {top}, which programs scale; save it as "
            "PNG or TIFF of 8 or 16 bits"
        )
    stored = _converted(image, data, deep=top == 65535)
    upright = turned(stored.pixels, orientation if turn is None else turn)
    return dataclasses.replace(stored, pixels=upright)


def _converted(image: Any, data: bytes, *, deep: bool) -> Stored:
    mode = image.mode
    if mode == "P":
        transparent = "transparency" in image.info
        if transparent:  # as a part of the palette
            image.apply_transparency()
        colors = "RGBA" if image.palette.mode == "RGBA" else "RGB"
        palette = bytes(image.getpalette(colors))
        return Stored(np.asarray(image), palette=palette, palette_mode=colors)
    if mode in ("1", "L", "RGB") and "transparency" in image.info:
        image = image.convert("RGBA")
        mode = "RGBA"
    if mode == "1":
        return Stored(np.asarray(image).astype(np.uint8), bilevel=True)
    if mode.startswith("I"):  # 16-bit grey; "I" is how some decoders hand it out
        numbers = np.asarray(image)
        if numbers.min() < 0 or numbers.max() > 65535:
            raise RefusedError("whole numbers of 32 bits; save it as TIFF")
        return Stored(numbers.astype(np.uint16))
    if mode not in _PLAIN:
        raise RefusedError(
            f"colors {mode}, whose numbers depend on a conversion; save it as grey or "
            "RGB"
        )
    if deep and mode != "L":
        image = image.convert("RGBA") if mode == "LA" else image
        pixels = np.asarray(image)
        colors = decoding.deep_colors(data, pixels, 65535)
        if colors.dtype != np.uint16:
            raise RefusedError("colors of 16 bits that are not read; save it as TIFF")
        return Stored(colors, (TRANSPARENCY,) * (colors.shape[2] - 3))
    return Stored(np.asarray(image), _PLAIN[mode])

"""Read one photograph from a path, from bytes or from an array, and check it."""

from __future__ import annotations

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from rkd_jax.images import decoding, image_files
from rkd_jax.images.foreign_files import RefusedError

MAX_MEGAPIXELS = 100.0
MIN_SIDE_PX = 32
MOST_ELONGATED = 20
"""Longer to shorter side; of a working size of 768 px the shorter one has 38 px."""


class Depth(NamedTuple):
    """Which values an image had before it became uint8, or float32 in 0..1.

    Attributes:
        dtype: uint8, uint16 or float32.
        top: the value that became 255 (uint8) or 1.0 (float32).

    >>> Depth.of(np.zeros((2, 2), np.uint16)).top
    65535.0
    """

    dtype: np.dtype
    top: float

    @classmethod
    def of(cls, pixels: np.ndarray) -> Depth:
        """Return the depth of pixels as a file holds them."""
        if pixels.dtype == np.uint8:
            return cls(np.dtype(np.uint8), 255.0)
        if pixels.dtype == np.uint16:
            return cls(np.dtype(np.uint16), 65535.0)
        whole = pixels.dtype.kind != "f" or (pixels.size and float(pixels.max()) > 1.0)
        return cls(np.dtype(np.float32), 255.0 if whole else 1.0)


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
    source: str | os.PathLike[str] | bytes | np.ndarray,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
    name: str | None = None,
) -> np.ndarray:
    """Read one image from a path, from encoded bytes or from an array.

    Palette, CMYK, Lab and other color spaces become RGB; transparency is laid over
    black, as outside the camera's circle, but where all is transparent, it is ignored.
    The EXIF orientation is applied (as `cv2.imread` does), so "file pixels" are
    those of the picture as it is shown; metadata that cannot be read are ignored.
    Files of several pages or frames are refused, except JPEGs of phones and stereo
    cameras (MPO), of which the first picture counts.

    While a file's header is read, Pillow's limit `Image.MAX_IMAGE_PIXELS` and
    Python's filters of warnings are set aside, in all threads of the program.

    Args:
        source: path (gzipped if it ends in .gz), encoded bytes (PNG, JPEG, TIFF, ...),
            or an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (RGB order): uint8,
            uint16 (0..65535) or float. Floats, in arrays and in TIFF, whose largest
            value is at most 1 are taken as 0..1, others as 0..255. Whole numbers of
            a TIFF with 16 or more bits are taken as 0..65535.
        max_megapixels: larger images are refused; of files, before decoding.
        name: what to call the image in an error; by default `describe(source)`.

    Returns:
        [H, W] (grey) or [H, W, 3] (RGB): uint8, or float32 in 0..1 where the
        source has more than 8 bits.

    Raises:
        FileNotFoundError: no such file.
        OSError: a file that the system does not let us read.
        ValueError: not an image, damaged, too large, of several pages, or an array of
            another form; the message names the file and what it is.
        TypeError: neither path, bytes nor a numeric array.

    >>> read_image(np.zeros((4, 5, 1), np.uint8)).shape
    (4, 5)
    """
    return read_with_depth(source, max_megapixels=max_megapixels, name=name)[0]


def read_with_depth(
    source: str | os.PathLike[str] | bytes | np.ndarray,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
    name: str | None = None,
) -> tuple[np.ndarray, Depth]:
    """Read an image as `read_image` does, and which values the file has.

    >>> image, depth = read_with_depth(np.full((2, 2), 4095, np.uint16))
    >>> image.dtype.name, depth.dtype.name
    ('float32', 'uint16')
    """
    name = describe(source) if name is None else name
    if isinstance(source, (str, os.PathLike)):
        source = image_files.read_bytes(pathlib.Path(source))
    if isinstance(source, (bytes, bytearray, memoryview)):
        image = decoding.decode(bytes(source), name, max_megapixels)
        return _from_array(image, name), Depth.of(image)
    image = np.asarray(source)
    if image.ndim in (2, 3) and image.size:
        try:
            decoding.check_size(image.shape[1], image.shape[0], max_megapixels)
        except RefusedError as error:
            raise ValueError(f"{name}: {error}") from None
    checked = _from_array(image, name)
    return checked, Depth.of(image)


def check_sides(width: int, height: int, name: str) -> None:
    """Refuse images with a side below `MIN_SIDE_PX`, and strips.

    Raises:
        ValueError: a side is too short, or the other one too long for it.

    >>> check_sides(4000, 40, "a.png")
    Traceback (most recent call last):
    ...
    ValueError: a.png: image is 4000x40 px; one side may be at most 20 times ...
    """
    if min(height, width) < MIN_SIDE_PX:
        raise ValueError(
            f"{name}: image is {width}x{height} px; both sides must be at least "
            f"{MIN_SIDE_PX} px: give a photograph, not a thumbnail"
        )
    if max(height, width) > MOST_ELONGATED * min(height, width):
        raise ValueError(
            f"{name}: image is {width}x{height} px; one side may be at most "
            f"{MOST_ELONGATED} times the other: cut the photograph out of the strip"
        )


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
    if not alpha.any():  # nothing would be seen; some programs write it so by mistake
        if color.min() == color.max():
            raise ValueError(
                f"{name}: the image is wholly transparent, and of one color beneath; "
                "export it again without transparency"
            )
        return np.ascontiguousarray(color)
    if image.dtype == np.uint8:
        over_black = color.astype(np.uint16) * alpha + 127
        return (over_black // 255).astype(np.uint8)
    return color * alpha


def _to_unit_range(image: np.ndarray, name: str) -> np.ndarray:
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise ValueError(f"{name}: the image holds NaN or infinite values; remove them")
    if image.dtype == np.uint16:  # the same numbers as below, in a third of the memory
        return np.divide(image, np.float32(65535), dtype=np.float32)
    low, high = float(image.min()), float(image.max())
    top = 1.0 if image.dtype.kind == "f" and high <= 1.0 else 255.0
    if low < 0 or high > top:
        raise ValueError(
            f"{name}: {image.dtype} values from {low:g} to {high:g}; expected 0..1 or "
            "0..255 (0..65535 for uint16): rescale the array"
        )
    return (image.astype(np.float64) / top).astype(np.float32)

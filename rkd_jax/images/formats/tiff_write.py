"""Write numbers of any kind and any count of channels as a TIFF file.

Pillow and OpenCV write some kinds each, and no image of five channels.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from rkd_jax.images.formats.tiff import Tag

_DEFLATE = 8
_STRIP_BYTES = 1 << 20
_FORMATS = {"u": 1, "i": 2, "f": 3}
_GREY, _RGB = 1, 2


def tiff_file(pixels: np.ndarray, extra: tuple[int, ...] = ()) -> bytes:
    """Return a TIFF file, compressed without loss.

    Args:
        pixels: `[H, W]` or `[H, W, C]` of whole numbers or floats.
        extra: meaning of the channels beyond the colors; three more than these are RGB.

    Raises:
        ValueError: numbers of another kind, or more than TIFF can hold.

    >>> tiff_file(np.zeros((2, 2), np.uint8))[:4]
    b'II*\\x00'
    """
    if pixels.dtype.kind not in _FORMATS:
        raise ValueError(f"TIFF: expected numbers, found {pixels.dtype}")
    height, width = pixels.shape[:2]
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    rows = max(1, _STRIP_BYTES // (little.nbytes // height))
    strips = [
        zlib.compress(little[top : top + rows].tobytes(), 4)
        for top in range(0, height, rows)
    ]
    offsets = 8 + np.cumsum([0, *map(len, strips)])
    if offsets[-1] >= 2**32 - 2**20:
        raise ValueError("TIFF: the file would be larger than 4 GB; cut the image")
    entries = {
        Tag.WIDTH: ("I", [width]),
        Tag.HEIGHT: ("I", [height]),
        Tag.BITS: ("H", [8 * pixels.itemsize] * samples),
        Tag.COMPRESSION: ("H", [_DEFLATE]),
        Tag.PHOTOMETRIC: ("H", [_RGB if samples - len(extra) == 3 else _GREY]),
        Tag.STRIPS: ("I", offsets[:-1].tolist()),
        Tag.SAMPLES: ("H", [samples]),
        Tag.ROWS: ("I", [rows]),
        Tag.STRIP_BYTES: ("I", [len(strip) for strip in strips]),
        Tag.PLANAR: ("H", [1]),
        Tag.FORMAT: ("H", [_FORMATS[pixels.dtype.kind]] * samples),
    }
    if extra:
        entries[Tag.EXTRA] = ("H", list(extra))
    end = int(offsets[-1])
    tail = _directory(entries, end + end % 2)
    return b"".join(
        [b"II*\0", struct.pack("<I", end + end % 2), *strips, bytes(end % 2), tail]
    )


def _directory(entries: dict[Tag, tuple[str, list[int]]], start: int) -> bytes:
    """Return a list of tags that lies at `start`, and their longer values behind it."""
    at = start + 2 + 12 * len(entries) + 4
    listed, longer = [], []
    for tag in sorted(entries):
        code, values = entries[tag]
        packed = struct.pack(f"<{len(values)}{code}", *values)
        if len(packed) > 4:
            longer.append(packed + bytes(len(packed) % 2))
            packed = struct.pack("<I", at)
            at += len(longer[-1])
        kind = {"H": 3, "I": 4}[code]
        head = struct.pack("<HHI", tag, kind, len(values))
        listed.append(head + packed.ljust(4, b"\0"))
    return b"".join([struct.pack("<H", len(listed)), *listed, bytes(4), *longer])

"""How a picture is to be turned, by its EXIF, and the turn.

Damaged metadata beside the entry of the turn are no reason to ignore it.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from rkd_jax.images.formats.tiff import Tag, is_tiff

# Steps along rows and columns, after rows and columns changed places from 5 on.
_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}


def exif_orientation(block: bytes) -> int | None:
    r"""Return the orientation of an EXIF block, however damaged its other entries are.

    Args:
        block: EXIF, which has the form of a TIFF file.

    Returns:
        The number of the entry; None where there is none of a whole number.

    >>> entry = struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    >>> exif_orientation(b"II*\0" + struct.pack("<IH", 8, 1) + entry)
    6
    """
    block = block.removeprefix(b"Exif\0\0")
    if not is_tiff(block) or len(block) < 14:
        return None
    order = "<" if block.startswith(b"II") else ">"
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return None
    (count,) = struct.unpack_from(order + "H", block, at)
    end = min(at + 2 + 12 * count, len(block) - 11)
    for place in range(at + 2, end, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", block, place)
        code, most = {1: ("B", 4), 3: ("H", 2), 4: ("I", 1)}.get(kind, ("", 0))
        if tag == Tag.ORIENTATION and 1 <= number <= most:
            return struct.unpack_from(order + code, block, place + 8)[0]
    return None


def orientation_of(image: Any) -> int:
    """Return the orientation of a loaded Pillow image; 1 where none can be read."""
    block = image.info.get("exif")
    found = exif_orientation(block) if isinstance(block, bytes) else None
    if found is not None:
        return found
    try:  # in XMP, or where else Pillow finds it
        found = image.getexif().get(Tag.ORIENTATION)
    except Exception:  # damaged metadata of any kind; the pixels are sound
        return 1
    return found if isinstance(found, int) else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels as they are shown.

    Args:
        pixels: `[H, W]` or `[H, W, C]`, as they are stored.
        orientation: of EXIF; numbers other than 2 to 8 turn nothing.

    >>> turned(np.array([[1, 2, 3]], np.uint8), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation not in range(2, 9):
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    rows, columns = _FLIPS.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::rows, ::columns])

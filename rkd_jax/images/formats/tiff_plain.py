"""Write one picture of a TIFF file, or one of its color planes, as a plain file.

The new file has the tags that the pixels depend on and no others, so that a decoder
meets neither further pages nor damaged metadata.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from rkd_jax.images.foreign_files import RefusedError
from rkd_jax.images.formats.tiff import COPIED, Page, Tag, numbers, one

_MOST_OVERLAP = 8


def plain_file(data: bytes, page: Page, *, plane: int = 0, **changed: int) -> bytes:
    """Write a picture, or one of its planes, as a TIFF file of its own.

    The compressed data are copied as they are.

    Args:
        data: the whole file.
        page: its picture.
        plane: where samples lie in planes and `changed` sets `samples` to 1, which.
        changed: fields of the page that the new file is to have: `width`, `samples`,
            `photometric`, `kind` ("u" is 1, "f" is 3), `extra` of a single sample.

    Returns:
        A classic TIFF file in the byte order of the old one.
    """
    order, tags = page.order, page.entries
    tiled = Tag.TILES in tags
    parts = _parts(data, page, tiled)
    if page.planar and changed.get("samples") == 1:
        count = len(parts) // page.samples
        parts = parts[plane * count : (plane + 1) * count]
    samples = changed.get("samples", page.samples)
    wide = changed.get("width", page.width) // page.width
    values: dict[int, Any] = {
        Tag.WIDTH: page.width * wide,
        Tag.HEIGHT: page.height,
        Tag.BITS: [page.bits] * samples,
        Tag.COMPRESSION: page.compression,
        Tag.PHOTOMETRIC: changed.get("photometric", page.photometric),
        Tag.SAMPLES: samples,
        Tag.PLANAR: 2 if page.planar and samples > 1 else 1,
        Tag.FORMAT: [changed.get("kind", {"u": 1, "i": 2, "f": 3}.get(page.kind, 4))]
        * samples,
    }
    if page.predictor != 1:
        values[Tag.PREDICTOR] = page.predictor
    if samples == page.samples and page.extra:
        # Where colors are renamed, transparency is the caller's, not the decoder's.
        # Colors that are laid over black already (1) stay: Pillow divides them, which
        # clips those above their share, and has no grey ones.
        known = () if "photometric" in changed else (2,)
        values[Tag.EXTRA] = [e if e in known else 0 for e in page.extra]
    if "extra" in changed:
        values[Tag.EXTRA] = changed["extra"]
    if tiled:
        values[Tag.TILE_WIDTH] = one(order, tags, Tag.TILE_WIDTH) * wide
        values[Tag.TILE_HEIGHT] = one(order, tags, Tag.TILE_HEIGHT)
    else:
        values[Tag.ROWS] = _rows(page)
    written = {tag: _packed(order, value) for tag, value in values.items()}
    written |= {tag: tags[tag] for tag in COPIED if tag in tags}
    offsets = 8 + np.cumsum([0, *map(len, parts)])[:-1]
    written[Tag.TILES if tiled else Tag.STRIPS] = _packed(order, offsets, "I")
    written[Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES] = _packed(
        order, [len(part) for part in parts], "I"
    )
    return _file(order, parts, written)


def _rows(page: Page) -> int:
    rows = one(page.order, page.entries, Tag.ROWS, page.height)
    return rows if 0 < rows < page.height else page.height


def _parts(data: bytes, page: Page, tiled: bool) -> list[memoryview]:
    """Return the strips or tiles as they lie in the file."""
    order, tags = page.order, page.entries
    starts = numbers(order, tags, Tag.TILES if tiled else Tag.STRIPS)
    sizes = numbers(order, tags, Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES)
    if starts is None:
        raise RefusedError("damaged TIFF (no pixels in it); fetch it again")
    if sizes is None:  # some old writers leave them out
        sizes = np.diff(starts.astype(np.float64), append=len(data)).clip(0)
    if len(sizes) < len(starts):
        raise RefusedError("damaged TIFF (sizes of strips missing); fetch it again")
    if page.compression == 1:  # decoders go by the picture's size then, not by these
        wide = one(order, tags, Tag.TILE_WIDTH) if tiled else page.width
        high = one(order, tags, Tag.TILE_HEIGHT) if tiled else _rows(page)
        whole = high * -(-wide * (1 if page.planar else page.samples) * page.bits // 8)
        sizes = np.full(len(starts), whole, object)
    view = memoryview(data)
    parts = [
        view[start : start + int(size)]
        for start, size in zip(starts.tolist(), sizes.tolist())
    ]
    # Tiles that are equal may be stored once, but not the whole file in each.
    if sum(map(len, parts)) > _MOST_OVERLAP * len(data) + 2**26:
        raise RefusedError("damaged TIFF (its strips overlap); fetch it again")
    return parts


def _packed(order: str, value: Any, code: str = "") -> tuple[int, int, bytes]:
    values = np.atleast_1d(np.asarray(value))
    code = code or ("H" if values.max() < 2**16 else "I")
    packed = values.astype(np.dtype(code).newbyteorder(order)).tobytes()
    return {"H": 3, "I": 4}[code], len(values), packed


def _file(order: str, parts: list, entries: Mapping[int, tuple]) -> bytes:
    """Join header, data, long values of tags and the list of tags."""
    at = 8 + sum(map(len, parts))
    longer, listed = [], []
    for tag in sorted(entries):
        kind, count, value = entries[tag]
        if kind in (16, 17, 18):  # 64 bits, of BigTIFF only
            long = np.frombuffer(value, np.dtype("u8").newbyteorder(order))
            kind, count, value = _packed(order, long, "I")
        if len(value) > 4:
            longer.append(bytes(value) + b"\0" * (-len(value) % 4))
            value = struct.pack(order + "I", at)
            at += len(longer[-1])
        listed.append(
            struct.pack(order + "HHI", tag, kind, count) + bytes(value).ljust(4, b"\0")
        )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    start = mark + struct.pack(order + "I", at)
    count = struct.pack(order + "H", len(listed))
    return b"".join([start, *parts, *longer, count, *listed, bytes(4)])

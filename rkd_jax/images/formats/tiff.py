"""TIFF files: what their tags say, and one picture of them as a plain file.

TIFF allows more than any decoder reads, and decoders misread some of it without a word
(planar files of 16 bits). So the tags are read here, other pictures in the file are
counted. `tiff_plain` writes one picture anew for a decoder.
"""

from __future__ import annotations

import dataclasses
import enum
import re
import struct
from collections.abc import Iterator, Mapping

import numpy as np

from rkd_jax.images.foreign_files import RefusedError

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMBERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4"}
_NUMBERS |= {16: "u8", 17: "i8", 18: "u8"}
_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4}
_BYTES_OF_TYPE |= {12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# What else the pixels depend on: fill order, options of fax, colors of a palette, inks,
# JPEG's tables, sampling and range of YCbCr.
COPIED = (266, 292, 293, 320, 332, 347, 529, 530, 531, 532)
# What no sound file has; a damaged one must not keep us for hours.
_MOST_PAGES, _MOST_TAGS = 1000, 4096
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}
OLD_JPEG = 6
PHOTOMETRICS = {
    **{0: "grey, white is zero", 1: "grey", 2: "RGB", 3: "palette", 4: "mask"},
    **{5: "CMYK", 6: "YCbCr", 8: "Lab", 9: "Lab", 10: "Lab"},
    **{32803: "camera raw", 34892: "camera raw"},
}


class Tag(enum.IntEnum):
    """Numbers of the tags that are read here."""

    SUBFILE = 254
    OLD_SUBFILE = 255
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    DESCRIPTION = 270
    STRIPS = 273
    ORIENTATION = 274
    SAMPLES = 277
    ROWS = 278
    STRIP_BYTES = 279
    PLANAR = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_BYTES = 325
    SUBIFDS = 330
    EXTRA = 338
    FORMAT = 339
    DEPTH = 32997
    DNG_VERSION = 50706


_WANTED = {*Tag, *COPIED}
_NEEDED = _WANTED - {Tag.DESCRIPTION, Tag.ORIENTATION, Tag.SUBIFDS}


@dataclasses.dataclass(frozen=True)
class Page:
    """The tags of one picture that its pixels depend on.

    Attributes:
        order: "<" or ">", of bytes.
        width, height: in px, as stored (not turned).
        bits: of a sample.
        kind: "u" whole numbers, "i" signed ones, "f" floats, "c" something else.
        samples: numbers to a pixel.
        extra: meaning of the samples beyond the colors: 1, 2 transparency.
        planar: whether the samples lie in planes.
        photometric, compression, predictor, orientation: as in the standard.
        entries: tag to (type, count, bytes).
    """

    order: str
    width: int
    height: int
    bits: int
    kind: str
    samples: int
    extra: tuple[int, ...]
    planar: bool
    photometric: int
    compression: int
    predictor: int
    orientation: int
    entries: Mapping[int, tuple[int, int, bytes | memoryview]]

    def __str__(self) -> str:
        colors = PHOTOMETRICS.get(self.photometric, f"colors {self.photometric}")
        kind = {"u": "", "i": "signed ", "f": "float "}.get(self.kind, "complex ")
        planes = ", in planes" if self.planar else ""
        return (
            f"TIFF of {self.samples} channel(s) of {kind}{self.bits} bits ({colors}"
            f"{planes}, compression {self.compression})"
        )


def is_tiff(data: bytes) -> bool:
    r"""Decide by the first bytes.

    >>> is_tiff(b"II*\0"), is_tiff(b"\x89PNG")
    (True, False)
    """
    return data.startswith(_SIGNATURES)


def read_page(data: bytes) -> Page:
    """Read the tags of the one picture of a TIFF file.

    Previews and masks that belong to it do not count.

    Raises:
        RefusedError: several pictures, a volume, a camera's raw file, or tags that make
            no picture.
        ValueError, struct.error: a damaged file.
    """
    order = "<" if data.startswith(b"II") else ">"
    pages = list(_directories(data, order))
    if not pages:
        raise RefusedError("damaged TIFF (no picture in it); fetch it again")
    full = [tags for tags in pages if not _is_preview(order, tags)]
    first = pages[0]
    if Tag.DNG_VERSION in first or (not full and Tag.SUBIFDS in first):
        raise RefusedError(
            "a camera's raw file, of which only the preview could be read; develop it "
            "to TIFF or JPEG"
        )
    if len(full) > 1:
        sizes = [
            f"{one(order, t, Tag.WIDTH)}x{one(order, t, Tag.HEIGHT)}" for t in full
        ]
        shown = ", ".join(sizes[:3]) + (", ..." if len(sizes) > 3 else "")
        raise RefusedError(
            f"TIFF of {len(full)} pages ({shown} px); save the page wanted as a file "
            "of its own"
        )
    page = _page(order, (full or pages)[0])
    _refuse_stack(page)
    return page


def _directories(data: bytes, order: str) -> Iterator[dict[int, tuple]]:
    """Yield the entries of each directory: tag to (type, count, bytes)."""
    big = 43 in data[2:4]
    pointer, number = (order + "Q", order + "Q") if big else (order + "I", order + "H")
    entry, inline = (20, 8) if big else (12, 4)
    (at,) = struct.unpack_from(pointer, data, 8 if big else 4)
    head, link = struct.calcsize(number), struct.calcsize(pointer)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        if at + head > len(data):
            raise RefusedError(
                "damaged or truncated TIFF (its list of pages leads out of the file); "
                "fetch it again"
            )
        (count,) = struct.unpack_from(number, data, at)
        at += head
        end = at + count * entry
        if end > len(data) or count > _MOST_TAGS:
            raise RefusedError(
                "damaged or truncated TIFF (a list of tags is cut off); fetch it again"
            )
        yield dict(_entries(data, order, range(at, end, entry), inline))
        # Some writers leave out the last pointer.
        cut = end + link > len(data)
        at = 0 if cut else struct.unpack_from(pointer, data, end)[0]


def _entries(
    data: bytes, order: str, places: range, inline: int
) -> Iterator[tuple[int, tuple]]:
    pointer = order + ("Q" if inline == 8 else "I")
    view = memoryview(data)  # values may overlap: copies of all would have no bound
    for at in places:
        tag, kind = struct.unpack_from(order + "HH", data, at)
        if tag not in _WANTED:
            continue
        (count,) = struct.unpack_from(pointer, data, at + 4)
        where, size = at + 4 + inline, count * _BYTES_OF_TYPE.get(kind, 0)
        if size > inline:
            (where,) = struct.unpack_from(pointer, data, where)
        value = view[where : where + size]
        if size and len(value) == size:
            yield tag, (kind, count, value)
        elif tag in _NEEDED:
            raise RefusedError(
                f"damaged or truncated TIFF (tag {tag} has no value); fetch it again"
            )


def numbers(order: str, tags: Mapping[int, tuple], tag: int) -> np.ndarray | None:
    """Return the whole numbers of a tag; None where it is absent or of other type."""
    kind, _, value = tags.get(tag, (0, 0, b""))
    if kind not in _NUMBERS:
        return None
    return np.frombuffer(value, np.dtype(_NUMBERS[kind]).newbyteorder(order))


def one(order: str, tags: Mapping[int, tuple], tag: int, default: int = 0) -> int:
    found = numbers(order, tags, tag)
    return default if found is None else int(found[0])


def _is_preview(order: str, tags: Mapping[int, tuple]) -> bool:
    """Whether a picture is a reduced copy or a mask of another, or none at all."""
    reduced = one(order, tags, Tag.SUBFILE) & 0b101
    return (
        bool(reduced) or one(order, tags, Tag.OLD_SUBFILE) == 2 or Tag.WIDTH not in tags
    )


def _page(order: str, tags: Mapping[int, tuple]) -> Page:
    samples = one(order, tags, Tag.SAMPLES, 1)
    bits = numbers(order, tags, Tag.BITS)
    bits = {1} if bits is None else set(bits[: max(samples, 1)].tolist())
    formats = numbers(order, tags, Tag.FORMAT)
    formats = {1} if formats is None else set(formats[: max(samples, 1)].tolist())
    if len(bits) > 1 or len(formats) > 1:
        raise RefusedError("TIFF whose channels differ in depth; save it as RGB")
    extra = numbers(order, tags, Tag.EXTRA)
    return Page(
        order=order,
        width=one(order, tags, Tag.WIDTH),
        height=one(order, tags, Tag.HEIGHT),
        bits=bits.pop(),
        kind=_KINDS.get(formats.pop(), "c"),
        samples=samples,
        extra=() if extra is None else tuple(extra[:samples].tolist()),
        planar=one(order, tags, Tag.PLANAR, 1) == 2 and samples > 1,
        photometric=one(order, tags, Tag.PHOTOMETRIC, 1),
        compression=one(order, tags, Tag.COMPRESSION, 1),
        predictor=one(order, tags, Tag.PREDICTOR, 1),
        orientation=one(order, tags, Tag.ORIENTATION, 1),
        entries=tags,
    )


def _refuse_stack(page: Page) -> None:
    """Refuse volumes and ImageJ's stacks, which may have one list of tags only."""
    text = bytes(page.entries.get(Tag.DESCRIPTION, (0, 0, b""))[2])
    stack = re.search(rb"^images=(\d{1,9})\s", text) or re.search(
        rb"\nimages=(\d{1,9})\s", text
    )
    images = int(stack[1]) if stack and text.startswith(b"ImageJ=") else 1
    depth = one(page.order, page.entries, Tag.DEPTH, 1)
    if max(images, depth) > 1:
        raise RefusedError(
            f"TIFF of a stack of {max(images, depth)} images; save the image wanted as "
            "a file of its own"
        )

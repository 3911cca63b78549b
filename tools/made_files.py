"""Small image files of unusual kinds, written by hand for tests and for fuzzing.

Pillow and OpenCV write neither TIFF with planes, predictors or channels of 16 bits and
more, nor damaged EXIF. The writers here share no code with the readers of `rkd_jax`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
GREY, WHITE_IS_ZERO, RGB = 1, 0, 2
_TIFF_KINDS = {"u": 1, "i": 2, "f": 3}


def _lzw(data: bytes) -> bytes:
    """Encode with codes of 9 bits only, by clearing the table before it grows."""
    codes = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _packbits(data: bytes) -> bytes:
    parts = [data[at : at + 128] for at in range(0, len(data), 128)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


_CODERS = {NONE: bytes, LZW: _lzw, DEFLATE: zlib.compress, PACKBITS: _packbits}


def _predicted(part: np.ndarray, predictor: int, order: str) -> bytes:
    """Return the bytes of `[rows, width, samples]` before compression."""
    if predictor == 2:
        part = np.diff(part, axis=1, prepend=part.dtype.type(0))
    if predictor != 3:
        return part.astype(part.dtype.newbyteorder(order)).tobytes()
    rows, _, samples = part.shape
    flat = part.reshape(rows, -1)
    planes = flat.astype(flat.dtype.newbyteorder(">")).view(np.uint8)
    planes = planes.reshape(rows, -1, part.itemsize).swapaxes(1, 2).reshape(rows, -1)
    shifted = np.zeros_like(planes)
    shifted[:, samples:] = planes[:, :-samples]
    return (planes - shifted).tobytes()


def _packed_12(part: np.ndarray) -> bytes:
    bits = "".join(f"{value:012b}" for value in part.ravel().tolist())
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _parts(image, tile, rows, predictor, order, bits) -> list[bytes]:
    """Cut `[H, W, samples]` into strips or tiles."""
    height, width, _ = image.shape
    if not tile:
        strips = (image[y : y + rows] for y in range(0, height, rows))
        if bits == 12:
            return [_packed_12(strip) for strip in strips]
        return [_predicted(strip, predictor, order) for strip in strips]
    padding = [(0, -height % tile), (0, -width % tile), (0, 0)]
    image = np.pad(image, padding)
    return [
        _predicted(image[y : y + tile, x : x + tile], predictor, order)
        for y in range(0, image.shape[0], tile)
        for x in range(0, image.shape[1], tile)
    ]


def tiff(
    image: np.ndarray | Sequence[np.ndarray],
    *,
    order: str = "<",
    big: bool = False,
    planar: bool = False,
    tile: int = 0,
    rows: int = 16,
    compression: int = NONE,
    predictor: int = 1,
    photometric: int | None = None,
    extra: Sequence[int] = (),
    bits: int | None = None,
    tags: dict[int, tuple[int, object]] | None = None,
) -> bytes:
    """Write a TIFF file.

    Args:
        image: `[H, W]` or `[H, W, samples]`, or several for several pages.
        order: "<" or ">".
        big: write BigTIFF.
        planar: samples in planes.
        tile: side of square tiles; 0 writes strips of `rows` rows.
        compression: NONE, LZW, DEFLATE or PACKBITS.
        predictor: 1 none, 2 differences, 3 of floats.
        photometric: by default RGB for 3 and more samples.
        extra: meaning of the samples beyond the colors.
        bits: 12 packs two samples into three bytes.
        tags: further tags: number to (type, value as a NumPy array or bytes).

    Returns:
        The file.
    """
    pages = [image] if isinstance(image, np.ndarray) else list(image)
    out = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 42 + big)
    out += struct.pack(order + "HH", 8, 0) if big else b""
    size, pointer = (8, order + "Q") if big else (4, order + "I")
    link = len(out)
    out += bytes(size)
    for picture in pages:
        picture = picture if picture.ndim == 3 else picture[..., None]
        height, width, samples = picture.shape
        bands = np.split(picture, samples, axis=2) if planar else [picture]
        parts = [
            _CODERS[compression](part)
            for band in bands
            for part in _parts(band, tile, rows, predictor, order, bits)
        ]
        starts = len(out) + np.cumsum([0, *map(len, parts)])[:-1]
        out += b"".join(parts)
        color = RGB if samples >= 3 else GREY
        entries = {
            256: (4, [width]),
            257: (4, [height]),
            258: (3, [bits or picture.itemsize * 8] * samples),
            259: (3, [compression]),
            262: (3, [color if photometric is None else photometric]),
            277: (3, [samples]),
            284: (3, [2 if planar else 1]),
            317: (3, [predictor]),
            339: (3, [_TIFF_KINDS[picture.dtype.kind]] * samples),
            324 if tile else 273: (16 if big else 4, starts),
            325 if tile else 279: (4, [len(part) for part in parts]),
            **({322: (3, [tile]), 323: (3, [tile])} if tile else {278: (3, [rows])}),
            **({338: (3, list(extra))} if extra else {}),
            **(tags or {}),
        }
        out = out[:link] + struct.pack(pointer, len(out)) + out[link + size :]
        listed, longer = _directory(entries, order, size, len(out))
        link = len(out) + len(listed)
        out += listed + bytes(size) + longer
    return out


def _directory(
    entries: dict[int, tuple], order: str, size: int, at: int
) -> tuple[bytes, bytes]:
    """Return a list of tags that stands at `at`, and the values behind it."""
    count_code, pointer = ("Q", "Q") if size == 8 else ("H", "I")
    listed, longer = struct.pack(order + count_code, len(entries)), b""
    after = at + len(listed) + len(entries) * (4 + 2 * size) + size
    for tag in sorted(entries):
        kind, value = entries[tag]
        code = {3: "u2", 4: "u4", 16: "u8"}.get(kind)
        if code:
            value = np.asarray(value).astype(order + code).tobytes()
        count = len(value) // {3: 2, 4: 4, 16: 8, 5: 8}.get(kind, 1)
        listed += struct.pack(order + "HH" + pointer, tag, kind, count)
        if len(value) > size:
            listed += struct.pack(order + pointer, after + len(longer))
            longer += value
        else:
            listed += value.ljust(size, b"\0")
    return listed, longer


def _chunk(kind: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def png(
    image: np.ndarray, *, interlaced: bool = False, chunks: Sequence[tuple] = ()
) -> bytes:
    """Write a PNG of `[H, W]` or `[H, W, 1 to 4]`, uint8 or uint16.

    Args:
        image: grey, grey with transparency, RGB or RGBA.
        interlaced: in Adam7's seven passes.
        chunks: (name, data) to stand before the pixels.
    """
    height, width = image.shape[:2]
    image = image.reshape(height, width, -1)
    color = {1: 0, 2: 4, 3: 2, 4: 6}[image.shape[2]]
    whole = image.astype(f">u{image.itemsize}")
    passes = [whole]
    if interlaced:
        starts = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4))
        starts += ((2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [whole[y::dy, x::dx] for y, x, dy, dx in starts]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    bits = 8 * image.itemsize
    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def exif(*entries: tuple[int, int, int, bytes], order: str = "<") -> bytes:
    """Write an EXIF block of (tag, type, count, four bytes of value) as they are."""
    body = b"II*\0" if order == "<" else b"MM\0*"
    body += struct.pack(order + "IH", 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack(order + "HHI", tag, kind, count) + value
    return body + bytes(4)


def with_exif(jpeg: bytes, block: bytes) -> bytes:
    """Put an EXIF block into a JPEG."""
    body = b"Exif\0\0" + block
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]

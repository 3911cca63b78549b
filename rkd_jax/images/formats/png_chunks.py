"""PNG files without the notes in them that no pixel depends on."""

from __future__ import annotations

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Besides chunks that all decoders must know (capital letters): transparency, the turn,
# and the frames of an animation, so that it is still one.
_KEPT = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")


def without_notes(data: bytes) -> bytes:
    r"""Return a PNG without resolution, color profile, texts and other notes.

    Args:
        data: a file; what is behind a chunk that is cut off stays as it is.

    >>> note = struct.pack(">I", 2) + b"tEXtabcccc"
    >>> without_notes(SIGNATURE + note + b"rest") == SIGNATURE + b"rest"
    True
    """
    parts, at = [data[: len(SIGNATURE)]], len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            break
        if kind[:1].isupper() or kind in _KEPT:
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])

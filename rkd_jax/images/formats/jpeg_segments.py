"""JPEG files without the notes in them that no pixel depends on."""

from __future__ import annotations

SIGNATURE = b"\xff\xd8\xff"
_NOTES = {*range(0xE0, 0xF0), 0xFE}  # of applications, and comments
_ADOBE_BYTES = 14  # its length included; its last byte says how colors are stored


def without_notes(data: bytes) -> bytes:
    r"""Return a JPEG without resolution, color profile and other notes.

    EXIF stays, for the turn, and Adobe's note on how colors are stored.

    Args:
        data: a file; what is behind the first thing that is no segment stays as it is.

    >>> note = b"\xff\xe0\0\4ab"
    >>> without_notes(b"\xff\xd8" + note + b"\xff\xdbrest") == b"\xff\xd8\xff\xdbrest"
    True
    """
    parts, at = [data[:2]], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] > b"\xbf":
        kind, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if kind in (0xD8, 0xD9, 0xDA) or end <= at + 2 or end > len(data):
            break
        body = data[at + 4 : end]
        whole = body.startswith(b"Adobe") and end - at - 2 >= _ADOBE_BYTES
        if kind not in _NOTES or whole or body.startswith(b"Exif\0\0"):
            parts.append(data[at:end])
        at = end
    return b"".join([*parts, data[at:]])

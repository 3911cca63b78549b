"""Name by their first bytes the files that people take for photographs.

`describe` says what a file is that no image decoder here reads, and what to do. The
words follow "not an image that can be read: ".
"""

from __future__ import annotations

import struct


class RefusedError(ValueError):
    """What is wrong with an image, in words for the user, without the file's name."""


_BARE_DICOM = "a DICOM file without preamble"
_EXPORT = "export the photograph as PNG or TIFF"
_UNPACK = "unpack it first"
_DEVELOP = "develop it to TIFF or JPEG"
_CONVERT = "convert it to PNG or JPEG"
_FRAME = "save the frame wanted as PNG"
_AGAIN = "fetch the image itself"
_VOLUME = "save the slice or projection wanted as PNG or TIFF"
_ARRAY = "load the array in Python and pass it, or save it as PNG or TIFF"

# (where, bytes there, what it is, what to do)
_MAGICS: tuple[tuple[int, bytes, str, str], ...] = (
    (128, b"DICM", "a DICOM file", _EXPORT),
    *(
        (0, struct.pack(f"{order}HH", 8, element), _BARE_DICOM, _EXPORT)
        for order in "<>"
        for element in (0x00, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18)
    ),
    (0, b"\x02\x00\x00\x00\x04\x00", _BARE_DICOM, _EXPORT),
    (0, b"\x02\x00\x00\x00UL", _BARE_DICOM, _EXPORT),
    (344, b"n+1\0", "a NIfTI volume", _VOLUME),
    (344, b"ni1\0", "a NIfTI header", _VOLUME),
    (0, b"NRRD0", "an NRRD volume", _VOLUME),
    (0, b"\x93NUMPY", "a NumPy array", _ARRAY),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file", _ARRAY),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 or MATLAB file", _ARRAY),
    (0, b"SIMPLE  =", "a FITS file", _ARRAY),
    (0, b"v/1\x01", "an OpenEXR image", "save it as TIFF of 16 bits or of floats"),
    (0, b"ZISRAWFILE", "a Zeiss CZI file", _EXPORT),
    (0, b"\xff\x0a", "a JPEG XL image", _CONVERT),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image", _CONVERT),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file", _DEVELOP),
    (0, b"IIRO", "a camera's raw file", _DEVELOP),
    (0, b"IIRS", "a camera's raw file", _DEVELOP),
    (0, b"IIU\0", "a camera's raw file", _DEVELOP),
    (8, b"CR\x02", "a camera's raw file", _DEVELOP),
    (0, b"FOVb", "a camera's raw file", _DEVELOP),
    (4, b"ftypcrx", "a camera's raw file", _DEVELOP),
    (0, b"%PDF", "a PDF document", _EXPORT),
    (0, b"%!PS", "a PostScript file", _EXPORT),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file", _EXPORT),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile", _EXPORT),
    (40, b" EMF", "a Windows metafile", _EXPORT),
    (0, b"\xd0\xcf\x11\xe0", "an office document or FlashPix file", _EXPORT),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", _UNPACK),
    (0, b"\x1f\x8b", "a gzip file", f"{_UNPACK}, or let its name end in .gz"),
    (0, b"BZh", "a bzip2 file", _UNPACK),
    (0, b"\xfd7zXZ", "an xz file", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    (0, b"7z\xbc\xaf", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x1aE\xdf\xa3", "a video", _FRAME),
    (0, b"\0\0\x01\xba", "a video", _FRAME),
    (0, b"\0\0\x01\xb3", "a video", _FRAME),
    (0, b"0&\xb2u", "a video", _FRAME),
    (8, b"AVI ", "a video", _FRAME),
    (8, b"WAVE", "a sound file", _AGAIN),
    (0, b"\0\x05\x16\x07", "macOS's notes on a file of that name", "remove it"),
    (0, b"version https://git-lfs", "a Git LFS pointer", "run `git lfs pull`"),
    (0, b"/annex/objects", "a git-annex pointer", "run `git annex get`"),
)
# Brands of ISO base media files, after "ftyp"; all others are videos.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_TEXT = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)) - {0x7F})


def describe(data: bytes) -> str | None:
    """Return what a file is and what to do, or None where it may be an image.

    Args:
        data: the whole file, or its beginning.

    >>> describe(b"%PDF-1.7")
    'a PDF document; export the photograph as PNG or TIFF'
    >>> describe(b"not known")
    """
    for where, magic, what, advice in _MAGICS:
        if data.startswith(magic, where):
            return f"{what}; {advice}"
    if data.startswith(b"ftyp", 4):
        brands = data[8 : int.from_bytes(data[:4], "big")][:200]
        brands = {brands[at : at + 4] for at in range(0, len(brands), 4)}
        if brands & _AVIF:
            return None
        heif = f"an HEIC (HEIF) photograph; {_CONVERT}"
        return heif if brands & _HEIF else f"a video; {_FRAME}"
    if len(data) >= 348 and data[:4] in (struct.pack("<i", 348), b"\0\0\x01\x5c"):
        return f"a NIfTI or ANALYZE header; {_VOLUME}"
    if not data.strip(b"\0"):
        return f"{len(data)} bytes that are all zero; fetch it again"
    return _markup(data)


def _markup(data: bytes) -> str | None:
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<svg", b"<?xml")) and b"<svg" in data[:4096]:
        return f"an SVG drawing; {_EXPORT}"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return f"a web page (HTML), often a failed download; {_AGAIN}"
    if start.startswith((b"<?xml", b"<error")):
        return f"an XML text, often a failed download; {_AGAIN}"
    if start.startswith(b"objecttype") or start.startswith(b"ndims"):
        return f"a MetaImage header; {_VOLUME}"
    return None


def is_text(data: bytes) -> bool:
    r"""Decide whether a file looks like text.

    >>> is_text(b"hello\n"), is_text(b"\x89PNG\0")
    (True, False)
    """
    return not data[:512].translate(None, _TEXT)

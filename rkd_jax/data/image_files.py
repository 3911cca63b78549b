"""Image files by their names: which they are, what they are called, their bytes.

Published data sets hold gzipped images too ("im0001.ppm.gz"); these count as images
where `gzipped` is given.
"""

from __future__ import annotations

import gzip
import os
import pathlib
import zlib

IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff"),
    *(".bmp", ".gif", ".ppm", ".pgm", ".webp"),
)
_GZIP = ".gz"


def _plain_name(path: pathlib.Path) -> str:
    """Return the file's name without `.gz`."""
    return path.stem if path.suffix.lower() == _GZIP else path.name


def stem(path: pathlib.Path) -> str:
    """Return the file's name without `.gz` and the image suffix.

    >>> stem(pathlib.Path("im0001.vk.ppm.gz"))
    'im0001.vk'
    """
    return pathlib.PurePath(_plain_name(path)).stem


def is_image(path: pathlib.Path, *, gzipped: bool = False) -> bool:
    """Tell by its name whether a file is an image (hidden files are not).

    >>> is_image(pathlib.Path("a.JPG")), is_image(pathlib.Path("._a.jpg"))
    (True, False)
    >>> packed = pathlib.Path("a.ppm.gz")
    >>> is_image(packed), is_image(packed, gzipped=True)
    (False, True)
    """
    name = _plain_name(path) if gzipped else path.name
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def list_images(
    folder: str | os.PathLike, *, recursive: bool = False, gzipped: bool = False
) -> list[pathlib.Path]:
    """Return the images of a folder, sorted by path.

    Args:
        folder: where to look.
        recursive: look in its subfolders, too, except hidden ones and `__MACOSX`.
        gzipped: list gzipped images, too.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no image in it.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images; check the path")
    found = sorted(
        path
        for path in (folder.rglob("*") if recursive else folder.iterdir())
        if is_image(path, gzipped=gzipped)
        and not any(
            part.startswith(".") or part.lower() == "__macosx"
            for part in path.relative_to(folder).parts[:-1]
        )
    )
    if not found:
        raise ValueError(
            f"{folder}: no image in this folder; expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}"
        )
    return found


def read_bytes(path: pathlib.Path) -> bytes:
    """Return the bytes of a file, unpacked if its name ends in `.gz`.

    Raises:
        ValueError: a damaged or truncated gzip file.
    """
    data = path.read_bytes()
    if path.suffix.lower() != _GZIP:
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: damaged gzip file ({error}); fetch it again"
        ) from error

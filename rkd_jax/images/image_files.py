"""Image files by their names: which they are, what they are called, their bytes.

One rule for what a photograph is, for every command that lists a folder. Published
data sets hold gzipped images too ("im0001.ppm.gz"); these count as images where
`gzipped` is given.
"""

from __future__ import annotations

import collections
import functools
import gzip
import os
import pathlib
import stat
import zlib
from collections.abc import Iterator
from typing import NoReturn

from rkd_jax.files.own_files import own_names

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff"),
    *(".bmp", ".dib", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".webp"),
    *(".jp2", ".j2k", ".avif", ".mpo"),
)
MAX_FILE_BYTES = 2**31
"""Larger files are refused unread: 100 megapixels of 16-bit RGBA are 0.8 GB."""
_GZIP = ".gz"
# Beginnings of names that systems and office programs give to files of their own.
_NOT_OF_USERS = (".", "~$")
# Folders with copies or thumbnails of photographs that stand elsewhere.
_SYSTEM_FOLDERS = {
    *("__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information"),
}


def plain_name(path: pathlib.Path) -> str:
    """Return the file's name without `.gz`."""
    return path.stem if path.suffix.lower() == _GZIP else path.name


def stem(path: pathlib.Path) -> str:
    """Return the file's name without `.gz` and the image suffix.

    >>> stem(pathlib.Path("im0001.vk.ppm.gz"))
    'im0001.vk'
    """
    return pathlib.PurePath(plain_name(path)).stem


def name_below(path: pathlib.Path, root: pathlib.Path) -> str:
    """Return the path of an image below a folder, without `.gz` and image suffix.

    >>> name_below(pathlib.Path("eyes/left/1.jpg"), pathlib.Path("eyes"))
    'left/1'
    """
    return (path.parent.relative_to(root) / stem(path)).as_posix()


def is_image(path: pathlib.Path, *, gzipped: bool = False) -> bool:
    """Decide by its name whether a file is an image.

    Hidden files are none, such as those that macOS writes beside photographs
    ("._eye.jpg"), nor are owner files of office programs ("~$eye.png").

    >>> is_image(pathlib.Path("a.JPG")), is_image(pathlib.Path("._a.jpg"))
    (True, False)
    >>> packed = pathlib.Path("a.ppm.gz")
    >>> is_image(packed), is_image(packed, gzipped=True)
    (False, True)
    """
    name = plain_name(path) if gzipped else path.name
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(_NOT_OF_USERS)


def list_images(
    folder: str | os.PathLike[str], *, recursive: bool = False, gzipped: bool = False
) -> list[pathlib.Path]:
    """Return the images of a folder, sorted by path.

    Args:
        folder: where to look. Folders in it are no images, whatever their names.
        recursive: look in its subfolders, too, except hidden ones and those of the
            system (`__MACOSX`, `@eaDir`, recycle bins). A folder that several links
            lead to is listed once.
        gzipped: list gzipped images, too.

    Raises:
        FileNotFoundError: no such folder.
        OSError: the folder, or one in it, cannot be read.
        ValueError: no image in it.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.webp", "._a.webp", "notes.txt"):
    ...         pathlib.Path(folder, name).touch()
    ...     [path.name for path in list_images(folder)]
    ['a.webp', 'b.png']
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of images; check the path")
    files = sorted(_files(folder, recursive))
    found = [path for path in files if is_image(path, gzipped=gzipped)]
    if not found:
        inside = " or the folders in it" if recursive else ""
        raise ValueError(
            f"{folder}: no image in this folder{inside}{_others(files)}; expected "
            f"files ending in {', '.join(IMAGE_SUFFIXES)}"
        )
    return found


def list_photographs(
    folder: pathlib.Path, *, recursive: bool = False, gzipped: bool = False
) -> list[pathlib.Path]:
    """List a folder's photographs, without the pictures that rkd_jax wrote there.

    Args:
        folder: see `list_images`, as of all arguments.
        recursive: look in its subfolders, too.
        gzipped: list gzipped images, too.

    Raises:
        OSError, ValueError: as `list_images`, or there are results of rkd_jax alone.
    """
    own = functools.cache(own_names)
    photographs = [
        path
        for path in list_images(folder, recursive=recursive, gzipped=gzipped)
        if path.name not in own(path.parent)
    ]
    if not photographs:
        raise ValueError(f"{folder}: no images besides results of rkd_jax")
    return photographs


def _files(folder: pathlib.Path, recursive: bool) -> Iterator[pathlib.Path]:
    """Yield what is no folder: broken links, too, so that reading names them."""
    seen = set()
    for place, folders, names in os.walk(folder, onerror=_raise, followlinks=recursive):
        facts = os.stat(place)
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        yield from (pathlib.Path(place, name) for name in names)
        folders[:] = sorted(
            name for name in folders if recursive and may_hold_images(name)
        )


def _raise(error: OSError) -> NoReturn:
    raise error


def may_hold_images(name: str) -> bool:
    """Decide by its name whether images of a folder count: not of a system folder.

    >>> may_hold_images("left"), may_hold_images("#recycle"), may_hold_images(".git")
    (True, False, False)
    """
    return not name.startswith(".") and name.lower() not in _SYSTEM_FOLDERS


def _others(files: list[pathlib.Path]) -> str:
    """Describe what a folder without images holds, for an error message."""
    kinds = collections.Counter(
        path.suffix for path in files if not path.name.startswith(_NOT_OF_USERS)
    )
    shown = [f"{n} {kind or 'without suffix'}" for kind, n in kinds.most_common(3)]
    return f" (it holds files: {', '.join(shown)})" if shown else ""


def read_bytes(path: pathlib.Path) -> bytes:
    """Return the bytes of a file, unpacked if its name ends in `.gz`.

    Raises:
        FileNotFoundError: no such file.
        OSError: the file cannot be read; the message names it.
        ValueError: no file but a folder, a pipe or a device, a file larger than
            `MAX_FILE_BYTES`, or a damaged or truncated gzip file.
    """
    size = file_size(path)
    if size > MAX_FILE_BYTES:
        raise ValueError(_too_large(path, f"the file has {size / 2**30:.1f} GiB"))
    if path.suffix.lower() != _GZIP:
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path}: damaged gzip file ({error}); fetch it again"
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(_too_large(path, "unpacked, the file is too large"))
    return data


def _too_large(path: pathlib.Path, what: str) -> str:
    return f"{path}: {what}; expected at most {MAX_FILE_BYTES / 2**30:g} GiB"


def file_size(path: pathlib.Path) -> int:
    """Return the size of a regular file in bytes; refuse all else unopened.

    Opening a pipe would wait for a writer, and a device may never end.

    Raises:
        FileNotFoundError: no such file.
        OSError: the system does not let us look; the message names the file.
        ValueError: a folder, a pipe, a socket or a device, or no name of a file.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     file_size(pathlib.Path(file.name))
    0
    """
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        broken = " (a link to a file that is gone)" if path.is_symlink() else ""
        raise FileNotFoundError(
            f"{path}: no such image file{broken}; check the path"
        ) from None
    except ValueError as error:  # a NUL in the name
        raise ValueError(f"{str(path)!r}: not the name of a file ({error})") from None
    if stat.S_ISDIR(facts.st_mode):
        raise ValueError(f"{path}: expected an image file, found a folder")
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(
            f"{path}: expected an image file, found a pipe, a socket or a device; "
            "copy the image into a file"
        )
    return facts.st_size

"""Files that no reader or crash finds half written.

Into a user's folder of results `rkd_jax.files.own_files` writes.
"""

import contextlib
import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterator

try:
    import fcntl
except ImportError:  # Windows has none; what a killed run leaves there stays.
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`, moved onto it if the block succeeds.

    The name keeps the suffix, so that writers which choose a format by it work. If the
    block raises, the temporary file is removed and what stood at `path` stays. The
    content is on the disk before it bears the name `path`. A temporary file that a
    killed process left is used again.

    Raises:
        IsADirectoryError: `path` is a folder.
        NotADirectoryError: its folder is a file.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     target = pathlib.Path(folder) / "a.txt"
    ...     with atomic_path(target) as part:
    ...         _ = part.write_text("x")
    ...     target.read_text()
    'x'
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; expected the name of a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"{path.parent}: cannot be made a folder, a file has that name"
        ) from error
    lock, part = _part_of(path)
    try:
        yield part
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        if lock is not None:
            os.close(lock)


def _part_of(path: pathlib.Path) -> tuple[int | None, pathlib.Path]:
    """Make a temporary file beside `path`, the one that a killed process left if any.

    A lock tells such a file from that of a process which lives. Where files cannot be
    locked, each has a new name and what a killed process left stays.
    """
    if fcntl is not None:
        with contextlib.suppress(_NoLocks):
            return _locked(path)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
    )
    os.close(handle)
    return None, pathlib.Path(name)


def _locked(path: pathlib.Path) -> tuple[int, pathlib.Path]:
    for number in itertools.count():
        part = path.with_name(f".{path.stem}.rkd_jax-{number}{path.suffix}")
        handle = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its owner may have moved or removed it between the two calls.
            if part.exists() and os.path.samestat(os.fstat(handle), os.stat(part)):
                os.ftruncate(handle, 0)
                return handle, part
        except (BlockingIOError, FileNotFoundError):
            pass  # another process writes it, or has just written it
        except OSError as error:
            part.unlink(missing_ok=True)
            os.close(handle)
            raise _NoLocks from error
        os.close(handle)
    raise AssertionError("itertools.count ends")


class _NoLocks(Exception):
    """The file system has no locks."""


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to `path`, wholly or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text to `path`, wholly or not at all."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")

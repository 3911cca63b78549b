"""Files that no reader or crash finds half written.

Into a user's folder of results `rkd_jax.files.own_files` writes.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`, moved onto it if the block succeeds.

    The name keeps the suffix, so that writers which choose a format by it work. If the
    block raises, the temporary file is removed and what stood at `path` stays. The
    content is on the disk before it bears the name `path`.

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
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
    )
    os.close(handle)
    part = pathlib.Path(name)
    try:
        yield part
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes to `path`, wholly or not at all."""
    with atomic_path(path) as part:
        part.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text to `path`, wholly or not at all."""
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")

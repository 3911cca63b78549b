"""Files that no reader or crash finds half written, and files of predictions.

Into a user's folder of results `rkd_jax.files.own_files` writes.
"""

import contextlib
import json
import os
import pathlib
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

_DAMAGED_NPZ = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError),
    # A version or a cipher that `zipfile` does not know; what is no archive, or half.
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


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


def refuse_other_settings(
    path: str | os.PathLike[str], saved: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse to go on with predictions that other settings made.

    Args:
        path: file of the predictions, for the message.
        saved: settings in the file, as JSON reads them.
        wanted: settings of this run.

    Raises:
        ValueError: they differ; the message names each key with both values.

    >>> refuse_other_settings("a.npz", {"sizes": [1, 2]}, {"sizes": (1, 2)})
    >>> refuse_other_settings("a.npz", {"k": 1}, {"k": 2})
    Traceback (most recent call last):
    ...
    ValueError: a.npz holds predictions from other settings (k: 1 there, 2 now); ...
    """
    wanted = json.loads(json.dumps(wanted))
    changed = [
        f"{key}: {saved.get(key)!r} there, {wanted.get(key)!r} now"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    ]
    if changed:
        raise ValueError(
            f"{path} holds predictions from other settings ({'; '.join(changed)}); "
            "choose another --out, or pass --overwrite"
        )


def read_predictions(
    path: str | os.PathLike[str], parse: Callable[[dict[str, np.ndarray]], T]
) -> tuple[dict[str, Any], T]:
    """Read a file of predictions: its settings, and what `parse` makes of its arrays.

    Args:
        path: an `.npz` file with the settings as JSON in "settings".
        parse: may fail on arrays that are missing or do not fit, like a reader does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a complete file of predictions.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of predictions")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(str(arrays["settings"])), parse(arrays)
    except _DAMAGED_NPZ as error:
        raise ValueError(
            f"{path}: not a complete file of predictions ({error}); delete it, or "
            "choose another --out"
        ) from None

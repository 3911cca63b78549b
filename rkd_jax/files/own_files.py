"""Replace and delete only files that earlier runs of rkd_jax wrote.

Each folder of results has a hidden list of the files that rkd_jax wrote there, with
their SHA-256. A file belongs to rkd_jax only while its content is in the list: a file
that a user made, or changed since, is kept. The list gets the new content before the
file does, so that a run that is killed at any moment leaves no unlisted file; lines are
only added, so that several runs may write into one folder.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import hashlib
import json
import os
import pathlib
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rkd_jax.files.atomic import atomic_path

LIST = ".rkd_jax_files.jsonl"
_ABOUT = {
    "about": "Files that rkd_jax wrote into this folder. Only these are replaced or "
    "deleted by later runs, and only while they are unchanged."
}
_TRIES = 20
Path = str | os.PathLike[str]


def digest(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        OSError: no such file, or a folder, a device, or a pipe, which would be waited
            for.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "no regular file", os.fspath(path))
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Inputs:
    """Files that a run reads, by where they lie and by what they are.

    A million of them take 200 MB: only the hash of each place and file is kept.

    Args:
        paths: of the files, which need not exist.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._known: set[int] = set()
        folder_of = functools.cache(os.path.realpath)
        for path in paths:
            folder, name = os.path.split(path)
            if os.path.islink(path):
                place = os.path.realpath(path)
            else:
                place = os.path.join(folder_of(folder), name)
            self._known.add(hash(place))
            if identity := _identity(path):
                self._known.add(hash(identity))

    def has(self, folder: str, path: pathlib.Path) -> bool:
        """Decide whether a file in a folder, whose real path is given, is one."""
        place = os.path.join(folder, path.name)
        return hash(place) in self._known or hash(_identity(path)) in self._known


def claim(
    paths: Iterable[Path],
    *,
    removable: Iterable[Path] = (),
    inputs: Iterable[Path] | Inputs = (),
) -> None:
    """Refuse a run that would replace a file that is not of an earlier run.

    Args:
        paths: files that the run may write.
        removable: files that the run may delete with `remove`; it keeps foreign ones.
        inputs: files that the run reads; none of them may be written or deleted,
            whoever made it.

    Raises:
        OSError: a file is in the way (FileExistsError), or a folder, or a folder cannot
            be written; the message says which, and what to do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mine = pathlib.Path(folder, "points.csv")
    ...     claim([mine])
    ...     mine.touch()
    ...     claim([mine])
    Traceback (most recent call last):
    ...
    FileExistsError: ...points.csv: rkd_jax would replace this file, which ...
    """
    read = inputs if isinstance(inputs, Inputs) else Inputs(inputs)
    written, by_folder = set(map(pathlib.Path, paths)), collections.defaultdict(list)
    for path in sorted(written | set(map(pathlib.Path, removable))):
        by_folder[path.parent].append(path)
    for folder, members in by_folder.items():
        _check_folder(folder)
        listed, real = _listed(folder), os.path.realpath(folder)
        for path in members:
            if read.has(real, path):
                raise FileExistsError(
                    f"{path}: rkd_jax would replace this file, which it is to read; "
                    "choose another --out"
                )
            if path in written:
                _refuse_foreign(path, listed, quick=True)


def claim_readable(
    path: Path, load: Callable[[Path], Any], *, inputs: Iterable[Path] = ()
) -> None:
    """Claim a file that nothing but rkd_jax writes, known by its form if not listed.

    Args:
        path: the file.
        load: reads it; raises ValueError if it is of another form.
        inputs: see `claim`.

    Raises:
        OSError: see `claim`.
        ValueError: the file is not listed, and of another form.
    """
    path = pathlib.Path(path)
    exists = path.is_file() and not path.is_symlink()
    if exists and path.name not in own_names(path.parent):
        load(path)
        _add(path.parent, _record(path.name, path))
    claim([path], inputs=inputs)


def claim_results(
    out: Path,
    written: Iterable[Path],
    predictions: Path,
    load: Callable[[Path], Any],
    *,
    inputs: Iterable[Path] = (),
) -> None:
    """Claim the files of a benchmark: scores, pictures and its saved predictions.

    Args:
        out: folder of the run.
        written: files in it that the run may write.
        predictions: its file of predictions.
        load: reads that file; see `claim_readable`.
        inputs: see `claim`.

    Raises:
        OSError: a file, or a folder, is in the way.
        ValueError: `out` is a file, or the predictions are of another form.
    """
    if os.path.exists(out) and not os.path.isdir(out):
        raise ValueError(f"{out}: --out must be a folder, found a file")
    inputs = list(inputs)
    claim(written, inputs=inputs)
    claim_readable(predictions, load, inputs=inputs)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[pathlib.Path]:
    """Yield a temporary path, moved onto `path` unless a foreign file stands there.

    As `rkd_jax.files.atomic.atomic_path`, and the file is listed as written by rkd_jax.

    Raises:
        FileExistsError: a file that rkd_jax did not write stands at `path`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for text in ("first", "second"):
    ...         with replacing(pathlib.Path(folder, "a.txt")) as part:
    ...             _ = part.write_text(text)
    ...     pathlib.Path(folder, "a.txt").read_text()
    'second'
    """
    path = pathlib.Path(path)
    with atomic_path(path) as part:
        yield part
        record = _record(path.name, part)
        _refuse_foreign(path)
        _add(path.parent, record)


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes as `replacing` does."""
    with replacing(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `replacing` does."""
    write_bytes(path, text.encode("utf-8"))


def remove(path: Path) -> bool:
    """Delete a file if rkd_jax wrote it; return whether it did."""
    path = pathlib.Path(path)
    if not _is_own(path, _listed(path.parent), quick=False):
        return False
    path.unlink(missing_ok=True)
    return True


def own_names(folder: Path) -> set[str]:
    """Return the names of the files in a folder that rkd_jax wrote, still unchanged."""
    folder = pathlib.Path(folder)
    listed = _listed(folder)
    return {name for name in listed if _is_own(folder / name, listed, quick=True)}


def _check_folder(folder: pathlib.Path) -> None:
    """Refuse a folder that cannot be made or written."""
    place = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    if not place.is_dir():
        raise NotADirectoryError(
            f"{folder}: cannot write there ({place} is no folder); choose another --out"
        )
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{folder}: cannot write there (no permission); choose another --out"
        )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def _record(name: str, path: pathlib.Path) -> dict[str, Any]:
    """Return the line of the list for a name with the content of `path`."""
    facts = path.stat()
    return {
        "file": name,
        "sha256": digest(path),
        "bytes": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
    }


def _listed(folder: pathlib.Path) -> dict[str, list[dict[str, Any]]]:
    """Return the records of a folder's list by name of the file."""
    path = folder / LIST
    if path.is_symlink():
        raise FileExistsError(f"{path}: a link; choose another --out, or remove it")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; choose another --out, or remove it")
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    records: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    known = 0
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue  # half a line, of a run that was killed
        if isinstance(record, dict) and ("about" in record or "sha256" in record):
            known += 1
            if "sha256" in record:
                records[str(record.get("file"))].append(record)
    if lines and not known:
        raise FileExistsError(
            f"{path}: not a list of files that rkd_jax wrote; choose another --out, or "
            "move this file away"
        )
    return dict(records)


def _add(folder: pathlib.Path, record: dict[str, Any]) -> None:
    """Add a line to a folder's list, unless the content is listed already."""
    path = folder / LIST
    listed = _listed(folder)
    same = ("sha256", "mtime_ns")
    for known in listed.get(record["file"], ()):
        if all(known.get(key) == record[key] for key in same):
            return
    lines = [record] if path.exists() else [_ABOUT, record]
    # A line break in front, too: what a killed run left of a line stays by itself.
    text = "".join(f"\n{json.dumps(line)}\n" for line in lines)
    with open(path, "ab", buffering=0) as file:
        file.write(text.encode())


def _is_own(
    path: pathlib.Path, listed: dict[str, list[dict[str, Any]]], *, quick: bool
) -> bool:
    """Decide whether rkd_jax wrote what stands at a path.

    Args:
        path: the file.
        listed: of its folder.
        quick: take a file of the listed size and time to have the listed content.
    """
    facts = _facts(path)
    if facts is None or not stat.S_ISREG(facts[0]):
        return False
    _, size, time, _ = facts
    records = [r for r in listed.get(path.name, ()) if r.get("bytes") == size]
    if quick and any(r.get("mtime_ns") == time for r in records):
        return True
    try:
        return bool(records) and digest(path) in {str(r["sha256"]) for r in records}
    except FileNotFoundError:
        return False


def _facts(path: pathlib.Path) -> tuple[int, int, int, int] | None:
    """Return mode, size, time and number of what stands at a path; None: nothing."""
    try:
        facts = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return facts.st_mode, facts.st_size, facts.st_mtime_ns, facts.st_ino


def _refuse_foreign(
    path: pathlib.Path,
    listed: dict[str, list[dict[str, Any]]] | None = None,
    *,
    quick: bool = False,
) -> None:
    """Raise if something stands at a path that rkd_jax did not write.

    Without `listed` the folder's list is read after the file was found: another run's
    file is listed before it appears.
    """
    for _ in range(_TRIES):
        before = _facts(path)
        if before is None:
            return
        if stat.S_ISDIR(before[0]):
            raise IsADirectoryError(f"{path}: a folder; expected the name of a file")
        known = _listed(path.parent) if listed is None else listed
        if _is_own(path, known, quick=quick):
            return
        if _facts(path) == before:
            break
        # Another run replaced the file while this one checked it.
    if path.name in known:
        what = "which was changed since rkd_jax wrote it"
    else:
        what = f"which it did not write (it is not in {LIST})"
    raise FileExistsError(
        f"{path}: rkd_jax would replace this file, {what}; choose another --out, or "
        "move the file away"
    )

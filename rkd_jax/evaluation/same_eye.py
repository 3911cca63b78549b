"""Photographs that a user knows to show one eye: a list of pairs.

Archives name some photographs wrongly: of one eye, one is called left and one right.
"""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from rkd_jax.files.tables import find_column, read_table


def read_same_eye(
    path: str | os.PathLike[str], photographs: Sequence[pathlib.Path]
) -> dict[pathlib.Path, set[pathlib.Path]]:
    """Read which photographs show one eye.

    Each row of the CSV file names two photographs, in the columns "fixed" and "moving"
    or, without a line of names, in the first two. A photograph is named by its path
    (relative to the CSV file), by the end of its path, or by its file name with or
    without suffix. If a and b show one eye, and b and c, then a and c do.

    Args:
        path: the CSV file.
        photographs: all that a name may mean.

    Returns:
        For each photograph in the file, all photographs of its eye, itself included.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a name that no photograph has, or several have; a row of one
            photograph. The message names the line.

    Example:
        >>> import tempfile
        >>> eyes = [pathlib.Path("eyes", name) for name in ("1.png", "2.png", "3.png")]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "same.csv")
        ...     _ = file.write_text("fixed,moving\\n1,3.png\\n")
        ...     known = read_same_eye(file, eyes)
        >>> [path.name for path in eyes if path in known[eyes[0]]]
        ['1.png', '3.png']
    """
    path = pathlib.Path(path)
    names = _Names(photographs, path.parent)
    eyes: dict[pathlib.Path, set[pathlib.Path]] = {}
    for line, *cells in _rows(path):
        first, second = (names.find(cell, f"{path}, line {line}") for cell in cells)
        if first == second:
            raise ValueError(
                f"{path}, line {line}: {cells[0]!r} and {cells[1]!r} are one "
                f"photograph, {first}; expected two"
            )
        eye = eyes.get(first, {first}) | eyes.get(second, {second})
        eyes.update(dict.fromkeys(eye, eye))
    return eyes


def is_known(
    eyes: Mapping[pathlib.Path, set[pathlib.Path]],
    fixed: pathlib.Path,
    moving: pathlib.Path,
) -> bool:
    """Decide whether two photographs are known to show one eye.

    Example:
        >>> a, b, c = map(pathlib.Path, "abc")
        >>> eyes = {a: {a, b}, b: {a, b}}
        >>> is_known(eyes, b, a), is_known(eyes, a, c), is_known(eyes, c, b)
        (True, False, False)
    """
    return moving in eyes.get(fixed, ())


def _rows(path: pathlib.Path) -> Iterator[tuple[int, str, str]]:
    """Yield the line and the two names of each pair."""
    rows = read_table(path).rows
    columns: list[int | None] = [0, 1]
    if rows:
        named = [find_column(rows[0], name, path) for name in ("fixed", "moving")]
        if None not in named:
            columns, rows = named, rows[1:]
    for row in rows:
        first, second = (row.cell(column) for column in columns)
        if not (first and second):
            raise ValueError(
                f"{path}, line {row.line}: expected two photographs, found "
                f"{', '.join(row.cells)!r}"
            )
        yield row.line, first, second


class _Names:
    """What photographs are called.

    Args:
        photographs: all that a name may mean.
        folder: that relative paths begin in.
    """

    def __init__(
        self, photographs: Sequence[pathlib.Path], folder: pathlib.Path
    ) -> None:
        self._folder = folder
        # Not `Path.resolve`, which refuses links that lead nowhere.
        self._by_place = {os.path.realpath(path): path for path in photographs}
        self._by_name = collections.defaultdict(list)
        self._by_stem = collections.defaultdict(list)
        for path in photographs:
            self._by_name[path.name].append(path)
            self._by_stem[path.stem].append(path)

    def find(self, name: str, where: str) -> pathlib.Path:
        """Return the photograph of a name; refuse what is unknown or ambiguous."""
        place = os.path.realpath(self._folder / name)
        if place in self._by_place:
            return self._by_place[place]
        *folders, last = pathlib.PurePath(name).parts or ("",)
        for known in (self._by_name[last], self._by_stem[last]):
            found = [p for p in known if _ends_with(p.absolute().parent.parts, folders)]
            if len(found) > 1:
                raise ValueError(
                    f"{where}: {name!r} may be {', '.join(map(str, found[:3]))}; write "
                    "the path of one of them"
                )
            if found:
                return found[0]
        raise ValueError(
            f"{where}: no photograph {name!r} in the folders of --photographs; "
            "expected a path, or the name of a file there"
        )


def _ends_with(parts: Sequence[str], end: Sequence[str]) -> bool:
    return not end or list(parts[-len(end) :]) == list(end)

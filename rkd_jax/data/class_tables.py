"""Images with one class each, as a table lists them.

data = from_table("labels.csv", images_dir="photographs")
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
import unicodedata
from collections.abc import Sequence

from rkd_jax.data.class_data import ClassData, Labeled, in_order, refuse_shared
from rkd_jax.files.cell_paths import find_path
from rkd_jax.files.tables import Row, Table, find_column, names_of, read_table
from rkd_jax.images import image_files

Path = str | os.PathLike[str]

_WHOLE_AS_FLOAT = re.compile(r"([-+]?\d+)\.0*")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Names of the columns of a table; upper and lower case are the same.

    Attributes:
        image: path of the image below the folder of images, or its name without
            folder or ending.
        label: the class.
        group: the patient or lesion; empty: the column "group" if there is one,
            else each image stands alone.
        fold: part of a given division: train, val or test, or a number; empty: the
            column "fold" if there is one.
    """

    image: str = "image"
    label: str = "class"
    group: str = ""
    fold: str = ""


def from_table(
    table: Path,
    *,
    images_dir: Path | Sequence[Path] | None = None,
    columns: Columns | None = None,
    classes: Sequence[str] = (),
    ordered: bool = False,
) -> ClassData:
    """Read a table with one image a row: image, class and, if wanted, group and fold.

    Images without a row have no class, and are left out.

    Args:
        table: CSV file with a line of names.
        images_dir: folder of the images, or several; those of their subfolders count,
            too. None: the folder of the table.
        columns: names of the columns; None: "image", "class", "group", "fold".
        classes: their names in order; empty: those of the table, sorted, as numbers
            where all are whole numbers.
        ordered: whether a class is more than those before it.

    Raises:
        OSError: no such table or folder.
        ValueError: no such column, or, with the line, an empty cell, a class that is
            none of `classes`, an image that is not there or not clear, two rows of
            one image, or an image or a group in two folds.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.jpg", "b.png"):
    ...         pathlib.Path(folder, name).touch()
    ...     path = pathlib.Path(folder, "labels.csv")
    ...     _ = path.write_text("image,class\\na,nevus\\nb.png,melanoma\\n")
    ...     data = from_table(path)
    >>> data.classes, data.names, data.labels.tolist()
    (('melanoma', 'nevus'), ('a', 'b.png'), [1, 0])
    """
    path = pathlib.Path(table)
    if images_dir is None:
        images_dir = path.parent
    several = not isinstance(images_dir, (str, os.PathLike))
    folders = [pathlib.Path(d) for d in (images_dir if several else (images_dir,))]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of images")
    read = read_table(path)
    rows = read.rows[1:]
    if not rows:
        raise ValueError(f"{path}: no image below the line of names")
    found = _found_columns(read, columns or Columns())
    values = [_class_of(row, found.label, path) for row in rows]
    names = tuple(classes) or in_order(set(values))
    search = _Search(folders)
    items = [
        _item(row, value, found, names, search, path)
        for row, value in zip(rows, values, strict=True)
    ]
    refuse_shared([(f"fold {item.fold!r}", item) for item in items])
    _refuse_twice(items)
    return ClassData(
        tuple(items),
        names,
        ordered,
        origin=os.fspath(path),
        fold_column=read.rows[0].cell(found.fold),
    )


@dataclasses.dataclass(frozen=True)
class _Found:
    """Numbers of the columns; None of one that is not there."""

    image: int
    label: int
    group: int | None
    fold: int | None


def _found_columns(table: Table, columns: Columns) -> _Found:
    header = table.rows[0]

    def find(name: str, *, needed: bool) -> int | None:
        wanted = names_of(Row(0, [name]))[0]
        at = find_column(header, wanted, table.path)
        if at is None and needed:
            raise ValueError(
                f"{table.path}, line {header.line}: no column {name!r}; there are "
                f"{', '.join(filter(None, names_of(header)))[:200]}: name the columns "
                "of image and class"
            )
        return at

    image, label = find(columns.image, needed=True), find(columns.label, needed=True)
    group = find(columns.group or "group", needed=bool(columns.group))
    fold = find(columns.fold or "fold", needed=bool(columns.fold))
    assert image is not None
    assert label is not None
    return _Found(image, label, group, fold)


def _class_of(row: Row, column: int, path: pathlib.Path) -> str:
    """Return the class of a row; whole numbers that pandas wrote as 2.0 are 2."""
    cell = row.cell(column)
    if not cell:
        raise ValueError(
            f"{path}, line {row.line}: no class in {', '.join(row.cells)[:60]!r}; add "
            "it, or remove the row"
        )
    whole = _WHOLE_AS_FLOAT.fullmatch(cell)
    return whole[1] if whole else cell


def _item(
    row: Row,
    value: str,
    found: _Found,
    classes: Sequence[str],
    search: _Search,
    path: pathlib.Path,
) -> Labeled:
    where, name = f"{path}, line {row.line}", row.cell(found.image)
    if not name:
        raise ValueError(f"{where}: no image; add its name, or remove the row")
    if value not in classes:
        raise ValueError(
            f"{where}: {name} has class {value!r}; expected one of {', '.join(classes)}"
        )
    group, fold = row.cell(found.group), row.cell(found.fold)
    for column, cell, what in (
        (found.group, group, "group"),
        (found.fold, fold, "fold"),
    ):
        if column is not None and not cell:
            raise ValueError(f"{where}: no {what} of {name}; add it")
    return Labeled(
        name=name,
        image=search.path_of(name, where),
        label=classes.index(value),
        group=group or name,
        fold=fold,
        where=where,
    )


def _refuse_twice(items: Sequence[Labeled]) -> None:
    """Refuse two rows of one image, whatever they call it."""
    first: dict[str, Labeled] = {}
    for item in items:
        other = first.setdefault(os.path.realpath(item.image), item)
        if other is not item:
            raise ValueError(
                f"{item.where}: image {item.name} is listed already in {other.where}; "
                "remove one of the rows"
            )


class _Search:
    """Finds the images that a table names in folders."""

    def __init__(self, folders: Sequence[pathlib.Path]) -> None:
        self._folders = folders

    def path_of(self, name: str, where: str) -> pathlib.Path:
        """Return the file of an image; `where` names its row in errors."""
        for folder in self._folders:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return pathlib.Path(path)
        alike = self._known.get(_plain(name), [])
        if len(alike) > 1:
            raise ValueError(
                f"{where}: image {name} may be {alike[0]} or {alike[1]}; write its "
                "path below the folder of images, or remove one file"
            )
        if alike:
            return alike[0]
        for folder in self._folders:
            path = find_path(name, folder)
            if path.is_file():
                return path
        ending = "" if image_files.is_image(pathlib.Path(name)) else ".jpg or the like"
        raise FileNotFoundError(
            f"{where}: no image {name} in {' or '.join(map(str, self._folders))}; add "
            f"{pathlib.PurePath(name).name}{ending}, correct the row, or remove it"
        )

    @functools.cached_property
    def _known(self) -> dict[str, list[pathlib.Path]]:
        """Images by path below their folder and by name, with ending and without."""
        known: dict[str, list[pathlib.Path]] = {}
        for folder in self._folders:
            for path in _images(folder):
                below = path.relative_to(folder)
                bare = below.with_name(image_files.stem(path))
                for key in {below.as_posix(), bare.as_posix(), below.name, bare.name}:
                    known.setdefault(_plain(key), []).append(path)
        return known


def _plain(name: str) -> str:
    """Return a name as all systems write it."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    try:
        return image_files.list_photographs(folder, recursive=True, gzipped=True)
    except ValueError:  # none: the rows that ask for them say so
        return []

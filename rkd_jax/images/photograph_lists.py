"""Which photographs a command works on: one, those of a folder, those of a table."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

from rkd_jax.files.cell_paths import find_path
from rkd_jax.files.folder_names import unusable_name
from rkd_jax.files.tables import Row, find_column, names_of, read_table
from rkd_jax.images.image_files import is_image, list_photographs, stem


class Photograph(NamedTuple):
    """A photograph on disk.

    Attributes:
        name: of its results among those of others, such as of a folder; empty of a
            single photograph.
        path: of the file.
    """

    name: str
    path: pathlib.Path


def list_inputs(
    given: str | os.PathLike[str], *, taken: Collection[str] = ()
) -> list[Photograph]:
    """Return the photographs that an argument names.

    Args:
        given: an image; a folder of images, in which results of rkd_jax are skipped; or
            a table with the columns image and, if wanted, name. Paths in a table are
            relative to it; without a line of names its first column is image.
        taken: names of files that stand beside the results of photographs, in lower
            case.

    Raises:
        OSError: there is nothing of that name, or it cannot be read.
        ValueError: no photograph, or two of one name.
    """
    path = pathlib.Path(given)
    if path.is_dir():
        images = list_photographs(path)
        return _checked(
            [Photograph(stem(image), image) for image in images], path, taken
        )
    if is_image(path, gzipped=True):
        return [Photograph("", path)]
    if not path.exists():
        raise FileNotFoundError(
            f"{path}: no such photograph, folder or CSV file; check the path"
        )
    return _checked(_of_table(path), path, taken)


def _of_table(path: pathlib.Path) -> list[Photograph]:
    table = read_table(path)
    if not table.rows:
        raise ValueError(f"{path}: empty; expected the columns image, name")
    header = table.rows[0]
    image, name = (find_column(header, n, path) for n in ("image", "name"))
    rows = table.rows[1:]
    if image is None:
        if not is_image(pathlib.Path(header.cell(0)), gzipped=True):
            raise ValueError(
                f"{path}: columns {', '.join(names_of(header))[:60]!r}; expected image "
                "and, if you like, name"
            )
        rows, image, name = table.rows, 0, 1
    found = [_of_row(row, image, name, path) for row in rows]
    if not found:
        raise ValueError(f"{path}: no photographs below the line of names")
    return found


def _of_row(row: Row, image: int, name: int | None, path: pathlib.Path) -> Photograph:
    cell = row.cell(image)
    if not cell:
        raise ValueError(f"{path}, line {row.line}: the path of the image is missing")
    file = find_path(cell, path.parent)
    return Photograph(row.cell(name) or stem(file), file)


def _checked(
    found: Sequence[Photograph], where: pathlib.Path, taken: Collection[str]
) -> list[Photograph]:
    """Refuse names that are used twice or cannot name results."""
    first: dict[str, Photograph] = {}
    for one in found:
        if reason := unusable_name(one.name, taken=taken):
            raise ValueError(
                f"{where}: {one.name[:80]!r} cannot be the name of results: {reason}; "
                "rename the photograph, or give a CSV file with a column name"
            )
        other = first.setdefault(one.name, one)
        if other is not one:
            raise ValueError(
                f"{where}: two photographs are named {one.name!r} ({other.path}, "
                f"{one.path}); rename one, or give a CSV file with a column name"
            )
    return list(found)

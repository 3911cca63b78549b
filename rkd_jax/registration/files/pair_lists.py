"""Which photographs belong together: pairs of a table, of a folder, of two folders."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from rkd_jax.files.cell_paths import find_path
from rkd_jax.files.own_files import own_names
from rkd_jax.files.tables import Row, Table, find_column, names_of, read_table
from rkd_jax.images.image_files import is_image, list_photographs, may_hold_images
from rkd_jax.registration.files.pair_names import unusable_name
from rkd_jax.registration.files.pairs import Pair, PairList

Note = Callable[[str], None]
_ROLES = {"1": "fixed", "2": "moving", "fixed": "fixed", "moving": "moving"}


def _holds_images(folder: pathlib.Path) -> bool:
    with os.scandir(folder) as entries:
        names = {e.name for e in entries if not e.is_dir()}
    images = {name for name in names if is_image(pathlib.Path(name))}
    return bool(images and images - own_names(folder))


def _listed(items: Sequence[object]) -> str:
    """Name the first of several things in a message."""
    shown = ", ".join(map(str, items[:5]))
    return shown if len(items) <= 5 else f"{shown} and {len(items) - 5} more"


def _checked(pairs: Sequence[Pair], where: pathlib.Path) -> PairList:
    """Refuse names that are used twice or cannot name a folder."""
    names: set[str] = set()
    for pair in pairs:
        if reason := unusable_name(pair.name):
            shown = pair.name if len(pair.name) <= 80 else f"{pair.name[:80]}..."
            raise ValueError(
                f"{where}: {shown!r} cannot be the name of a folder: {reason}; rename "
                "the photograph, or give a CSV file with a column name"
            )
        if pair.name in names:
            other = next(other for other in pairs if other.name == pair.name)
            raise ValueError(
                f"{where}: two pairs are named {pair.name!r}; rename one "
                f"({other.fixed}, {other.moving}; {pair.fixed}, {pair.moving})"
            )
        names.add(pair.name)
    return pairs if isinstance(pairs, PairList) else PairList(pairs)


def _stem(path: pathlib.Path) -> str:
    """Return a file's name without suffix, also of a path of Windows."""
    return pathlib.PurePath(str(path).replace("\\", "/")).stem


def _columns(table: Table) -> tuple[list[Row], int, int, int | None]:
    """Return the rows of pairs, and the columns of fixed, moving and name."""
    header = table.rows[0]
    found = (find_column(header, n, table.path) for n in ("fixed", "moving", "name"))
    fixed, moving, name = found
    if fixed is not None and moving is not None:
        return table.rows[1:], fixed, moving, name
    named = [is_image(pathlib.Path(cell)) for cell in header.cells]
    if named[:2] == [True, True] and len(named) <= 3 and not any(named[2:]):
        return table.rows, 0, 1, 2
    raise ValueError(
        f"{table.path}: columns {', '.join(names_of(header))[:60]!r}; expected fixed, "
        "moving and, if you like, name (or, without a line of names, two columns of "
        "images, the fixed one first)"
    )


def from_table(path: pathlib.Path) -> PairList:
    """Read a table with the columns fixed, moving and, if wanted, name.

    Without a line of names these are the columns, in this order. Paths are relative to
    the file. Without names the pairs are called by their images, "<fixed>_<moving>".

    Raises:
        ValueError: a column or a cell is missing, no rows, or a name twice.
    """
    table = read_table(path)
    if not table.rows:
        raise ValueError(f"{path}: empty; expected the columns fixed, moving, name")
    rows, *columns = _columns(table)
    del table
    rows.reverse()
    pairs = PairList(_pairs_of(rows, columns, path))
    if not pairs:
        raise ValueError(f"{path}: no pairs below the line of names")
    return _checked(pairs, path)


def _pairs_of(
    rows: list[Row], columns: Sequence[int | None], path: pathlib.Path
) -> Iterator[Pair]:
    """Yield the pairs of rows, the last one first; none is kept in memory."""
    while rows:
        row = rows.pop()
        *cells, name = (row.cell(column) for column in columns)
        if not all(cells):
            raise ValueError(
                f"{path}, line {row.line}: expected two image paths, found "
                f"{', '.join(row.cells)[:60]!r}"
            )
        fixed, moving = (find_path(cell, path.parent) for cell in cells)
        name = name or f"{_stem(fixed)}_{_stem(moving)}"
        yield Pair(name, fixed, moving)


def _role(path: pathlib.Path) -> tuple[str, str]:
    """Return (name, role) of an image: "a_1.png" is the fixed one of a."""
    name, _, role = path.stem.rpartition("_")
    return name, _ROLES.get(role.lower(), "")


def from_folder(folder: pathlib.Path, note: Note | None = None) -> PairList:
    """Pair the images `<name>_1` and `<name>_2`, or `<name>_fixed` and `<name>_moving`.

    A folder without images may have a folder for each pair, which gives the name.
    Folders that hold nothing but results of rkd_jax are skipped.

    Args:
        folder: where they are.
        note: gets a line about images that are in no pair.

    Raises:
        ValueError: no such names, or one of a pair is missing, or there are three.
    """
    if not _holds_images(folder):
        inner = _folders_with_images(folder)
        if inner:
            pairs = [Pair(path.name, *_only_pair(path)) for path in inner]
            return _checked(pairs, folder)
    groups: dict[str, dict[str, pathlib.Path]] = {}
    others = []
    for path in list_photographs(folder):
        name, role = _role(path)
        if not name or not role:
            others.append(path)
            continue
        first = groups.setdefault(name, {}).setdefault(role, path)
        if first is not path:
            raise ValueError(
                f"{folder}: several images are the {role} one of {name!r}: "
                f"{first.name}, {path.name}; keep one"
            )
    if not groups:
        raise ValueError(
            f"{folder}: no pairs; expected <name>_1 and <name>_2 (or _fixed and "
            "_moving), or give two folders with the same names, or a CSV file"
        )
    for path in others:
        name, _, number = path.stem.rpartition("_")
        if number.isdecimal() and name in groups:
            raise ValueError(
                f"{folder}: {path.name} is a further image of {name!r}, so that its "
                "pair is not clear; move it away, or give a CSV file"
            )
    lonely = sorted(name for name, group in groups.items() if len(group) < 2)
    if lonely:
        raise ValueError(f"{folder}: no partner for {_listed(lonely)}")
    if others and note is not None:
        note(f"{folder}: in no pair: {_listed([path.name for path in others])}")
    pairs = [Pair(name, g["fixed"], g["moving"]) for name, g in groups.items()]
    return _checked(pairs, folder)


def _folders_with_images(folder: pathlib.Path) -> list[pathlib.Path]:
    with os.scandir(folder) as entries:
        inner = [pathlib.Path(e.path) for e in entries if e.is_dir()]
    of_users = (path for path in inner if may_hold_images(path.name))
    return sorted(path for path in of_users if _holds_images(path))


def _only_pair(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Return the fixed and the moving image of a folder that holds one pair."""
    images = list_photographs(folder)
    roles = {path: _ROLES.get(path.stem.rpartition("_")[2].lower()) for path in images}
    by_role = {role: path for path, role in roles.items() if role}
    if len(images) == 2 and len(by_role) == 2:
        return by_role["fixed"], by_role["moving"]
    if len(images) == 2 and not by_role:
        return images[0], images[1]
    raise ValueError(
        f"{folder}: expected two images, the fixed and the moving one of a pair, found "
        f"{len(images)}: {_listed([path.name for path in images])}; name them _1 and "
        "_2, or give a CSV file"
    )


def _one_each(images: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Return images by their names without suffix; refuse two of one name."""
    found: dict[str, pathlib.Path] = {}
    for path in images:
        first = found.setdefault(path.stem, path)
        if first is not path:
            raise ValueError(
                f"{path.parent}: {first.name} and {path.name} have one name, so that "
                "the pair is not clear; move one away, or give a CSV file"
            )
    return found


def from_two(
    fixed: pathlib.Path, moving: pathlib.Path, note: Note | None = None
) -> PairList:
    """Pair the images of two folders by name, or all of one folder with one image.

    Args:
        fixed: a folder or an image.
        moving: a folder.
        note: gets a line about images that are in no pair.

    Raises:
        OSError: there is no such image.
        ValueError: an image of the fixed folder has no partner in the moving one, or
            two images have one name.
    """
    if not fixed.is_dir():
        if not fixed.exists():
            raise FileNotFoundError(f"{fixed}: no such image file; check the path")
        images = list_photographs(moving)
        others = [p for p in images if not p.exists() or not p.samefile(fixed)]
        if not others:
            raise ValueError(f"{moving}: no image besides {fixed.name}")
        pairs = [Pair(name, fixed, path) for name, path in _one_each(others).items()]
        return _checked(pairs, moving)
    if not moving.is_dir():
        raise ValueError(f"{moving}: {fixed} is a folder, so this must be one as well")
    if fixed.samefile(moving):
        raise ValueError(
            f"{moving}: FIXED and MOVING are one folder, so that each image would be "
            "its own partner; give the folder once for pairs <name>_1 and <name>_2"
        )
    partners, images = (
        _one_each(list_photographs(moving)),
        _one_each(list_photographs(fixed)),
    )
    lonely = [path.name for name, path in images.items() if name not in partners]
    if lonely:
        raise ValueError(f"{moving}: nothing there for {_listed(lonely)}")
    if note is not None and (left := sorted(partners.keys() - images.keys())):
        names = [partners[name].name for name in left]
        note(f"{moving}: in no pair, as {fixed} lacks them: {_listed(names)}")
    pairs = [Pair(name, path, partners[name]) for name, path in images.items()]
    return _checked(pairs, fixed)


def list_pairs(
    fixed: str, moving: str | None, note: Note | None = None
) -> PairList | None:
    """Return the pairs that the arguments of the register command name.

    Args:
        fixed: a CSV file or a folder (without `moving`), an image or a folder (with).
        moving: an image or a folder, or None.
        note: gets a line about images that are in no pair.

    Returns:
        Pairs; None where both are single images.

    Raises:
        OSError, ValueError: nothing there, or not in pairs.
    """
    first = pathlib.Path(fixed)
    if moving is None:
        if not first.exists():
            raise FileNotFoundError(f"{fixed}: no such CSV file or folder of pairs")
        if first.is_dir():
            return from_folder(first, note)
        if not is_image(first):
            return from_table(first)
        raise ValueError(
            f"{fixed}: MOVING is missing; one argument alone is a folder or CSV"
        )
    second = pathlib.Path(moving)
    if first.is_dir() or second.is_dir():
        return from_two(first, second, note)
    return None

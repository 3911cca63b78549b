"""Which photographs belong together: pairs of a table, of a folder, of two folders."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Sequence

from rkd_jax.matching.predictions import Pair

SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".ppm", ".gif"}
_ROLES = {"1": "fixed", "2": "moving", "fixed": "fixed", "moving": "moving"}


def _images(folder: pathlib.Path) -> list[pathlib.Path]:
    found = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES]
    if not found:
        raise ValueError(f"{folder}: no images ({', '.join(sorted(SUFFIXES))})")
    return found


def _checked(pairs: Sequence[Pair], where: pathlib.Path) -> list[Pair]:
    """Refuse names that are used twice or cannot name a folder."""
    names = [pair.name for pair in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where}: two pairs are named {name!r}; rename one")
        if not re.fullmatch(r"[^/\\]+", name) or name in (".", ".."):
            raise ValueError(f"{where}: {name!r} cannot be the name of a folder")
    return list(pairs)


def from_table(path: pathlib.Path) -> list[Pair]:
    """Read a CSV file with the columns fixed, moving and, if wanted, name.

    Paths are relative to the file. Without names the pairs are called by their images,
    "<fixed>_<moving>".

    Raises:
        ValueError: a column or a cell is missing, no rows, or a name twice.
    """
    pairs = []
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        found = [name.strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = found
        if not {"fixed", "moving"} <= set(found):
            raise ValueError(
                f"{path}: columns {', '.join(found)[:60]!r}; expected fixed, moving "
                "and, if you like, name"
            )
        for number, row in enumerate(reader, start=2):
            cells = [(row[key] or "").strip() for key in ("fixed", "moving")]
            if not all(cells):
                raise ValueError(f"{path}, line {number}: expected two image paths")
            fixed, moving = (path.parent / cell for cell in cells)
            name = (row.get("name") or "").strip() or f"{fixed.stem}_{moving.stem}"
            pairs.append(Pair(name, fixed, moving))
    if not pairs:
        raise ValueError(f"{path}: no pairs below the line of names")
    return _checked(pairs, path)


def from_folder(folder: pathlib.Path) -> list[Pair]:
    """Pair the images `<name>_1` and `<name>_2`, or `<name>_fixed` and `<name>_moving`.

    Raises:
        ValueError: no such names, or one of a pair is missing.
    """
    groups: dict[str, dict[str, pathlib.Path]] = {}
    for path in _images(folder):
        name, _, role = path.stem.rpartition("_")
        if name and role in _ROLES:
            group = groups.setdefault(name, {})
            if _ROLES[role] in group:
                raise ValueError(f"{folder}: several images are {name}_{role}")
            group[_ROLES[role]] = path
    if not groups:
        raise ValueError(
            f"{folder}: no pairs; expected <name>_1 and <name>_2 (or _fixed and "
            "_moving), or give two folders with the same names, or a CSV file"
        )
    lonely = sorted(name for name, group in groups.items() if len(group) < 2)
    if lonely:
        raise ValueError(f"{folder}: no partner for {', '.join(lonely[:5])}")
    return [
        Pair(name, group["fixed"], group["moving"]) for name, group in groups.items()
    ]


def from_two(fixed: pathlib.Path, moving: pathlib.Path) -> list[Pair]:
    """Pair the images of two folders by name, or all of one folder with one image.

    Raises:
        ValueError: an image of the fixed folder has no partner in the moving one.
    """
    if not fixed.is_dir():
        others = [path for path in _images(moving) if path.resolve() != fixed.resolve()]
        return _checked([Pair(path.stem, fixed, path) for path in others], moving)
    if not moving.is_dir():
        raise ValueError(f"{moving}: {fixed} is a folder, so this must be one as well")
    partners = {path.stem: path for path in _images(moving)}
    lonely = [path.name for path in _images(fixed) if path.stem not in partners]
    if lonely:
        raise ValueError(f"{moving}: nothing there for {', '.join(lonely[:5])}")
    pairs = [Pair(p.stem, p, partners[p.stem]) for p in _images(fixed)]
    return _checked(pairs, fixed)


def list_pairs(fixed: str, moving: str | None) -> list[Pair] | None:
    """Return the pairs that the arguments of the register door name.

    Args:
        fixed: a CSV file or a folder (without `moving`), an image or a folder (with).
        moving: an image or a folder, or None.

    Returns:
        Pairs; None where both are single images.

    Raises:
        FileNotFoundError, ValueError: nothing there, or not in pairs.
    """
    first = pathlib.Path(fixed)
    if moving is None:
        if not first.exists():
            raise FileNotFoundError(f"{fixed}: no such CSV file or folder of pairs")
        if first.is_dir():
            return from_folder(first)
        if first.suffix.lower() in (".csv", ".txt"):
            return from_table(first)
        raise ValueError(
            f"{fixed}: MOVING is missing; one argument alone is a folder or CSV"
        )
    second = pathlib.Path(moving)
    if first.is_dir() or second.is_dir():
        return from_two(first, second)
    return None

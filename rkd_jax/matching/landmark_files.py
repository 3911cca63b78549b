"""Landmarks of one image from a text file."""

from __future__ import annotations

import pathlib
import re

import numpy as np


def _fields(line: str) -> list[str]:
    """Split a line: at semicolons, else at tabs, else at commas, else at blanks.

    With semicolons or tabs a comma within a number is its decimal point. Empty cells
    are kept: columns are counted.
    """
    for separator in (";", "\t"):
        if separator in line.strip(" \r\n"):
            cells = [cell.strip() for cell in line.split(separator)]
            return [re.sub(r"^([-+]?\d+),(\d+)$", r"\1.\2", cell) for cell in cells]
    if "," in line:
        return [cell.strip() for cell in line.split(",")]
    return line.split()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _columns(names: list[str], where: str) -> tuple[int, int]:
    """Return which columns hold x and y of the moving image, by their names."""
    names = [name.lower().strip("\"'# ") for name in names]
    for pair in (("x_moving", "y_moving"), ("x", "y")):
        if set(pair) <= set(names):
            return names.index(pair[0]), names.index(pair[1])
    if [name[:1] for name in names[:2]] == ["x", "y"] and "fixed" not in names[0]:
        return 0, 1
    shown = ", ".join(names)[:60]
    raise ValueError(
        f"{where}: columns {shown!r}; expected x and y, or x_moving and y_moving: "
        "rename them, or keep only x y (pixels of the moving image)"
    )


def check_inside(points: np.ndarray, size: tuple[int, int], path: str) -> None:
    """Refuse points `[N, 2]` more than a pixel outside an image of (height, width)."""
    height, width = size
    outside = ((points < -1) | (points > (width, height))).any(axis=1)
    if outside.any():
        x, y = points[outside.argmax()]
        raise ValueError(
            f"{path}: point {outside.argmax() + 1} at ({x:g}, {y:g}) lies outside the "
            f"moving image of {width}x{height} px ({outside.sum()} such points); give "
            "x y in pixels of MOVING"
        )


def read_points(path: str | pathlib.Path) -> np.ndarray:
    """Read landmarks: two numbers x y a line, by semicolon, tab, comma or blanks.

    One line of names may stand at the top: where it has `x_moving` and `y_moving`, or
    `x` and `y`, these columns are read; other names must begin with x and y. Further
    columns are ignored.

    Returns:
        float64 `[N, 2]` in pixels of the moving image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no points, names without x and y, or a line without two numbers
            there; the message names file and line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such landmark file; check --points")
    rows, columns = [], (0, 1)
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header_may_come = True
    for number, line in enumerate(lines, start=1):
        fields = _fields(line)
        if not any(fields):
            continue
        may_be_header, header_may_come = header_may_come, False
        if may_be_header and not any(map(_is_number, fields)):
            names = _fields(line.lstrip("# "))
            columns = _columns(names, f"{path}, line {number}")
            continue
        try:
            x, y = (float(fields[column]) for column in columns)
        except (ValueError, IndexError):
            raise ValueError(
                f"{path}, line {number}: expected two numbers x y, found "
                f"{line.strip()[:60]!r}; correct the line"
            ) from None
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ValueError(
                f"{path}, line {number}: x y must be finite numbers; correct the line"
            )
        rows.append((x, y))
    if not rows:
        raise ValueError(f"{path}: no points; expected one x y (pixels) a line")
    return np.array(rows, np.float64)

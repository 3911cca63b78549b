"""Landmarks of one image from a text file."""

from __future__ import annotations

import pathlib

import numpy as np

from rkd_jax.files.tables import (
    Row,
    Table,
    find_column,
    names_of,
    number,
    read_table,
    refuse_shifted,
)

# Parts of names of columns that are those of the other image.
_OF_OTHER = {
    "moving": ("fix", "ref", "target", "dst", "query"),
    "fixed": ("mov", "source", "src", "float"),
}


def check_inside(
    points: np.ndarray,
    size: tuple[int, int],
    path: str | pathlib.Path,
    *,
    image: str = "moving",
) -> None:
    """Refuse points more than a pixel outside their image.

    Args:
        points: `[N, 2]` (x, y) in pixels of the file.
        size: (height, width) of the image.
        path: file of the points, for the error.
        image: which one of the pair it is, for the error.

    Raises:
        ValueError: a point lies outside; the message names the first one.

    >>> check_inside(np.array([[3.0, 9.0]]), (8, 8), "a.csv")
    Traceback (most recent call last):
    ...
    ValueError: a.csv: point 1 at (3, 9) lies outside the moving image of 8x8 px ...
    """
    height, width = size
    outside = ((points < -1) | (points > (width, height))).any(axis=1)
    if outside.any():
        x, y = points[outside.argmax()]
        raise ValueError(
            f"{path}: point {outside.argmax() + 1} at ({x:g}, {y:g}) lies outside the "
            f"{image} image of {width}x{height} px ({outside.sum()} such points); "
            "correct the line: x y are pixels of that image"
        )


def read_points(path: str | pathlib.Path, *, image: str = "moving") -> np.ndarray:
    """Read landmarks: two numbers x y a line, in any form that `read_table` reads.

    A line of names may stand at the top, also as a comment: where it has `x_moving` and
    `y_moving`, or `x` and `y`, these columns are read; other names must begin with x
    and y, and no further ones do. Without names there must be two columns of numbers
    alone, in front. Further columns are ignored.

    Args:
        path: the file.
        image: which one of the pair the landmarks are of, "moving" or "fixed"; with
            "fixed", columns `x_fixed` and `y_fixed` are read.

    Returns:
        float64 `[N, 2]` in pixels of that image.

    Raises:
        OSError: no such file, or it cannot be read.
        ValueError: no points, columns that are not clear, or a line without two finite
            numbers there; the message names file and line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "p.csv")
    ...     _ = path.write_text("id,x,y\\n7,10.5,20\\n")
    ...     read_points(path).tolist()
    [[10.5, 20.0]]
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such landmark file; check --points")
    table = read_table(path, blanks=True)
    rows, header = table.rows, None
    if rows and not any(_value(cell, table) is not None for cell in rows[0].cells):
        header, rows = rows[0], rows[1:]
    elif table.comment is not None and _names_points(table.comment, image):
        header = table.comment
    if header is not None:
        columns = _named(header, path, image)
        refuse_shifted(rows, header, columns, path)
    else:
        columns = (0, 1)
        _refuse_unclear(rows, table, image)
    if not rows:
        raise ValueError(f"{path}: no points; expected one x y (pixels) a line")
    return np.array([_point(row, columns, table) for row in rows], np.float64)


def _value(cell: str, table: Table) -> float | None:
    return number(cell, thousands=table.separator == ",")


def _point(row: Row, columns: tuple[int, int], table: Table) -> tuple[float, float]:
    x, y = (_value(row.cell(column), table) for column in columns)
    where = f"{table.path}, line {row.line}"
    if x is None or y is None:
        raise ValueError(
            f"{where}: expected two numbers x y, found {' '.join(row.cells)[:60]!r}; "
            "correct the line"
        )
    if not np.isfinite([x, y]).all():
        raise ValueError(f"{where}: x y must be finite numbers; correct the line")
    return x, y


def _names_points(comment: Row, image: str) -> bool:
    """Decide whether a comment is a line of names."""
    names = set(names_of(comment))
    return {"x", "y"} <= names or {f"x_{image}", f"y_{image}"} <= names


def _named(header: Row, path: pathlib.Path, image: str) -> tuple[int, int]:
    """Return which columns hold x and y of an image, by their names."""
    for pair in ((f"x_{image}", f"y_{image}"), ("x", "y")):
        x, y = (find_column(header, name, path) for name in pair)
        if x is not None and y is not None:
            return x, y
    names = names_of(header)
    coordinates = [name for name in names if name[:1] in ("x", "y")]
    if coordinates == names[:2] and [name[0] for name in coordinates] == ["x", "y"]:
        x, y = (name[1:] for name in coordinates)
        if x == y and not any(word in x for word in _OF_OTHER[image]):
            return 0, 1
    shown = ", ".join(names)[:60]
    raise ValueError(
        f"{path}, line {header.line}: columns {shown!r}; expected x and y, or "
        f"x_{image} and y_{image}: rename them, or keep only x y (pixels of the "
        f"{image} image)"
    )


def _refuse_unclear(rows: list[Row], table: Table, image: str) -> None:
    """Refuse columns without names if more than two hold numbers."""
    for row in rows:
        numbers = sum(_value(cell, table) is not None for cell in row.cells)
        if numbers > 2:
            names = "x_fixed,y_fixed,x_moving,y_moving" if numbers == 4 else "index,x,y"
            raise ValueError(
                f"{table.path}, line {row.line}: {numbers} columns of numbers without "
                "names, so that x and y are not clear; write the names of the columns "
                f"above, such as {names}, or keep only x y (pixels of the {image} "
                "image)"
            )

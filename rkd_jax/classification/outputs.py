"""The table of classified images: one row each."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rkd_jax.classification.result import Classification
from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text

CLASS_PREFIX = "p_"
"""Begins the names of the columns with the probabilities of classes."""
PICTURE = "picture_sha256"
"""Name of the column with the SHA-256 of the picture of the explanation."""
_RESULT = ("predicted", "probability", "distance", "distance_quantile")
DONE, ERROR = "done", "error"


def columns(classes: Sequence[str], facts: Mapping[str, Any]) -> list[str]:
    """Return the names of all columns.

    Args:
        classes: of the classifier.
        facts: all that a row depends on besides the image.
    """
    each = [CLASS_PREFIX + name for name in classes]
    first = ["name", "path", "status", "reason"]
    return [*first, *_RESULT, *each, "sha256", PICTURE, *facts]


def row_of(found: Classification) -> dict[str, str]:
    """Return what a row says of a result, as text.

    >>> import numpy as np
    >>> found = Classification(("no", "yes"), np.array([0.2, 0.8]), 1.0, 0.5, (9, 9))
    >>> row_of(found)["p_yes"], row_of(found)["distance_quantile"]
    ('0.80000', '0.500')
    """
    row = {
        "predicted": found.predicted,
        "probability": f"{found.probability:.5f}",
        "distance": "" if found.distance is None else f"{found.distance:.3f}",
        "distance_quantile": "",
    }
    if found.distance_quantile is not None:
        row["distance_quantile"] = f"{found.distance_quantile:.3f}"
    for name, value in zip(found.classes, found.probabilities, strict=True):
        row[CLASS_PREFIX + name] = f"{value:.5f}"
    return row


def write_table(
    path: pathlib.Path, rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> None:
    """Write the table.

    Args:
        path: of the file.
        rows: at least one; what a row lacks is an empty cell.
        names: of the columns.

    Raises:
        OSError: it cannot be written, or is a file of others.
    """
    full = [{name: row.get(name, "") for name in names} for row in rows]
    own_files.write_text(path, csv_text(full))


def read_table(path: pathlib.Path, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the rows of an earlier table by the name of the image.

    Args:
        path: of the file.
        names: of the columns; a table with others has no rows for us.
    """
    if path.name not in own_files.own_names(path.parent):
        return {}
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    reader = csv.DictReader(io.StringIO(text, newline=""))
    if reader.fieldnames != list(names):
        return {}
    return {row["name"]: row for row in reader}


def json_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with its numbers as numbers, and the probabilities by class.

    >>> json_of({"name": "a", "distance": "", "p_no": "0.25"})
    {'name': 'a', 'distance': None, 'probabilities': {'no': 0.25}}
    """
    numbers = ("probability", "distance", "distance_quantile")
    found: dict[str, Any] = {}
    for name, text in row.items():
        if name.startswith(CLASS_PREFIX):
            each = found.setdefault("probabilities", {})
            each[name.removeprefix(CLASS_PREFIX)] = float(text)
        elif name in numbers:
            found[name] = float(text) if text else None
        else:
            found[name] = text
    return found

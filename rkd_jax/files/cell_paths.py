"""Paths in the cells of tables, whichever system wrote them."""

from __future__ import annotations

import os
import pathlib
import unicodedata
from collections.abc import Iterator


def _forms(cell: str) -> Iterator[str]:
    """Yield what a path in a table may mean: as it is, then as other systems write."""
    yield cell
    yield cell.replace("\\", "/")
    for form in ("NFC", "NFD"):
        yield unicodedata.normalize(form, cell)
    # Bytes that are not UTF-8: the table may be of Windows, the file's name not.
    data = cell.encode("utf-8", "surrogateescape")
    yield data.decode("cp1252", errors="replace")


def find_path(cell: str, folder: pathlib.Path) -> pathlib.Path:
    """Return the file that a cell of a table names, the first form that exists."""
    for form in _forms(cell):
        path = os.path.join(folder, form)  # its text alone: a list may have a million
        if os.path.exists(path):
            return pathlib.Path(path)
    return folder / os.path.expanduser(cell)

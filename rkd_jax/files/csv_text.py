"""Rows of results as the text of a CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from rkd_jax.files.portable import portable


def csv_text(rows: Sequence[Mapping[str, Any]], *, header: bool = True) -> str:
    r"""Return rows of equal keys as the text of a CSV file; floats with 3 decimals.

    Args:
        rows: at least one.
        header: begin with the line of names.

    >>> csv_text([{"pair": "a", "error": 0.12345}])
    'pair,error\na,0.123\n'
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if header:
        writer.writeheader()
    for row in rows:
        shown = {k: f"{v:.3f}" if type(v) is float else v for k, v in row.items()}
        writer.writerow(shown)
    # Names of files may hold bytes that are no text.
    return portable(text.getvalue()).encode("utf-8", "backslashreplace").decode()

"""A run over many pairs: which ones, and how far it is, on stderr."""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable

from rkd_jax.files.tables import read_table
from rkd_jax.runtime.command import say, shown

_LINE_EVERY_S = 20.0


def progress_of(what: str) -> Callable[[int, int, str], None]:
    """Return a reporter on stderr: one moving line on a terminal, else plain lines."""
    start, first, last_line = time.monotonic(), None, -_LINE_EVERY_S
    live = sys.stderr.isatty()

    def report(done: int, total: int, name: str) -> None:
        nonlocal first, last_line
        first = done if first is None else first
        spent = time.monotonic() - start
        text = f"{done}/{total} {what}"
        if done > first and done < total:
            left = spent / (done - first) * (total - done)
            text += f", {int(left) // 60}:{int(left) % 60:02d} left"
        text += f", now {shown(name)}" if name else f", {spent:.0f} s"
        if live:
            end = "" if done < total else "\n"
            say(f"\r\x1b[K{text}", sys.stderr, end=end)
        elif spent - last_line >= _LINE_EVERY_S or done == total:
            last_line = spent
            say(text, sys.stderr)

    return report


def read_names(path: str | None) -> list[str] | None:
    """Read names of pairs, one a line; "#" starts a comment."""
    if path is None:
        return None
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; check --pairs")
    names = [row.cells[0].split("#")[0].strip() for row in read_table(file).rows]
    return [name for name in names if name]

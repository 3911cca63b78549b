"""What became of each pair of many, and its row of `pairs.csv`."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Iterator
from typing import IO, Any

from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.registration.files.pair_names import TABLE
from rkd_jax.registration.files.pairs import Pair


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a pair: its summary, as in `transform.json`, or an error."""

    pair: Pair
    summary: dict[str, Any] | None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the pair is registered."""
        return self.summary is not None and bool(self.summary["ok"])

    def row(self) -> dict[str, Any]:
        """Return the pair's row of `pairs.csv`; None is an empty cell.

        The expected error and its bound are in pixels of the fixed file, over the
        overlap of the photographs.
        """
        summary = self.summary
        if summary is None:
            summary = {"ok": False, "reason": f"error: {self.error}"}
        error = summary.get("expected_error") or {}
        return {
            "name": self.pair.name,
            "fixed": str(self.pair.fixed),
            "moving": str(self.pair.moving),
            "ok": summary["ok"],
            "confidence": summary.get("confidence"),
            "family": (summary.get("transform") or {}).get("family", ""),
            "matches": summary.get("matches"),
            "inliers": summary.get("inliers"),
            "expected_error_median_px": error.get("median_px"),
            "expected_error_worst_px": error.get("worst_px"),
            "error_bound_median_px": error.get("bound_median_px"),
            "error_bound_worst_px": error.get("bound_worst_px"),
            "error_known_frac": error.get("known_frac"),
            "seconds": summary.get("seconds"),
            "reason": summary["reason"],
        }


@contextlib.contextmanager
def writing_table(out: pathlib.Path) -> Iterator[Callable[[Result], None]]:
    """Yield a function that adds a result to `pairs.csv`.

    The rows go to a hidden file, which gets the name `pairs.csv` when the block ends
    without an error: a run that is killed leaves the table of an earlier run as it was.
    Without any row it stays, too.

    Args:
        out: folder of the table.

    Raises:
        OSError: the folder cannot be written, or holds a `pairs.csv` of others.
    """
    with contextlib.ExitStack() as stack:
        file: IO[str] | None = None

        def add(result: Result) -> None:
            nonlocal file
            first = file is None
            if file is None:
                part = stack.enter_context(own_files.replacing(out / TABLE))
                opened = open(part, "w", encoding="utf-8", newline="")  # noqa: SIM115
                file = stack.enter_context(opened)
            file.write(csv_text([result.row()], header=first))

        yield add

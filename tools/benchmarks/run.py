"""One run of the benchmark: its options, its clock and its rows."""

import argparse
import functools
import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import cases, measure, report

LAYOUTS = ("first", "last")
PRECISIONS = {"cpu": ("float32",), "gpu": ("float32", "tf32", "bfloat16")}
# Before the first row: GFLOP/s of a matrix product, seconds to build and compile a row.
GUESSED = {"cpu": (100.0, 30.0), "gpu": (20_000.0, 60.0)}
PRODUCT_SIDE = {"cpu": 2048, "gpu": 8192}


def has_torch() -> bool:
    """Return whether PyTorch is installed."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.__version__)


class Run:
    """What the sections share.

    Attributes:
        args: Options of the command line.
        about: The machine.
        rows: Results so far.
        torch: Whether PyTorch is timed too.
    """

    def __init__(self, args: argparse.Namespace, about: dict[str, Any]):
        self.args, self.about, self.rows = args, about, []
        self.torch = has_torch() and not args.no_torch
        self.end = time.monotonic() + 60 * args.minutes

    def add(self, section: str, what: str, **values: Any) -> None:
        """Keep a row, print it and write all rows."""
        row = {"section": section, "what": what, **values}
        self.rows.append(row)
        print(report.line(row), flush=True)
        report.write(pathlib.Path(self.args.out), self.about, self.rows)

    def fits(
        self, section: str, what: str, seconds: float, mib: float = 0.0, **case: Any
    ) -> bool:
        """Return whether a case fits into time and memory left; name it if not."""
        left, free = self.end - time.monotonic(), measure.room_mib()
        if self.args.quick:
            return True
        if mib > free:
            note = f"about {mib:.0f} MiB for both sides, there are {free:.0f}"
        elif seconds > left:
            note = f"about {seconds:.0f} s, {max(left, 0):.0f} s left of --minutes"
        else:
            return True
        self.add(section, what, **case, left_out=note)
        return False

    def last(self, *, kind: str | None = None, key: str = "ran_s") -> dict | None:
        """Return the newest row of a network, of this kind, that has this value."""
        rows = [row for row in self.rows if row["section"] == "network"]
        found = [row for row in rows if kind in (None, row["what"]) and key in row]
        return found[-1] if found else None

    def guess_mib(self, kind: str, size: int, batch: int) -> float:
        """Return about how much memory both sides take in one process, MiB.

        By what each took alone (section `process`), on a straight line over the
        pixels, through 0 if there is but one size. 0 if that was not measured, or on a
        GPU: there, what is too large fails and the run goes on.
        """
        sides = [("ours_cold_peak_mib",)]
        if self.torch:
            sides.append(("torch_peak_mib", "torch_kept_peak_mib"))
        pixels, peaks = [], []
        for row in self.rows:
            taken = [[row[key] for key in keys if key in row] for keys in sides]
            if (row["section"], row["what"]) == ("process", kind) and all(taken):
                pixels.append(row["size"] ** 2)
                peaks.append(sum(map(max, taken)))
        if self.args.device == "gpu" or not pixels:
            return 0.0
        asked = batch * size**2
        if len(pixels) == 1:
            return peaks[0] * asked / pixels[0]
        return float(np.polyval(np.polyfit(pixels, peaks, 1), asked))

    def guess(self, kind: str, size: int, batch: int) -> float:
        """Return about how many seconds a row takes, by what was timed before."""
        known = self.last(kind=kind) or self.last()
        if known:
            work = cases.gflop(kind, size, batch, small=self.args.quick)
            ran, grows = known["ran_s"], work / known["gflop"]
            return 1.2 * (known["took_s"] - ran + grows * ran)
        arms = 1 + (len(self.args.layouts) if self.torch else 0)
        runs = self.args.rounds * self.args.repeats + 1
        return arms * self.guess_ours(kind, size, batch, runs=runs)

    def guess_ours(self, kind: str, size: int, batch: int, *, runs: int) -> float:
        """Return about how many seconds our arm takes to compile and run."""
        work = cases.gflop(kind, size, batch, small=self.args.quick)
        rate, setup = GUESSED[self.args.device]
        rate = 0.3 * max([rate, *(row.get("product_gflops", 0.0) for row in self.rows)])
        if known := self.last(kind=kind, key="ours_gflops"):
            rate = known["ours_gflops"]
        return setup + runs * work / rate

    def timed(
        self,
        builders: dict[str, Callable[[], measure.Arm]],
        *,
        gflop: float | None = None,
        precision: str = "float32",
        repeats: int | None = None,
    ) -> dict[str, Any]:
        """Time arms in turns, with matrix products if there is work to compare.

        Args:
            builders: Of "ours", "torch first" and the like; others are kept apart.
            gflop: Work of one run.
            precision: Of the products.
            repeats: Runs in a row; None takes the option's.

        Returns:
            The row's values, errors of arms and the time it took in all.
        """
        start, product = time.monotonic(), None
        if gflop is not None:
            products, product = self.products(precision)
            builders = builders | products
        self.release()
        seconds, errors = measure.interleave(
            builders,
            rounds=self.args.rounds,
            repeats=repeats or self.args.repeats,
            rivals=tuple(f"torch {layout}" for layout in self.args.layouts),
            release=self.release,
        )
        row = report.summarise(seconds, gflop=gflop, product=product)
        row |= {f"{name.replace(' ', '_')}_error": e for name, e in errors.items()}
        ran = (repeats or self.args.repeats) * sum(sum(s) for s in seconds.values())
        return row | {"ran_s": ran, "took_s": time.monotonic() - start}

    def products(self, precision: str) -> tuple[dict[str, Callable], float]:
        """Return builders of the matrix product, ours and PyTorch's, and its GFLOP."""
        from benchmarks import ours

        side = 256 if self.args.quick else PRODUCT_SIDE[self.args.device]
        arms = {"product": functools.partial(ours.matmul, side, precision)}
        if self.torch:
            from benchmarks import theirs

            arms["product torch"] = functools.partial(
                theirs.matmul, side, self.args.device, precision
            )
        return arms, 2e-9 * side**3

    def release(self) -> None:
        """Free the memory that finished arms still hold."""
        if self.torch:
            from benchmarks import theirs

            theirs.release()

    def attempt(
        self, section: str, what: str, measured: Callable[[], dict], **case: Any
    ) -> None:
        """Add a row of what a function measures, or of what went wrong."""
        start = time.monotonic()
        try:
            row = measured()
        except Exception as error:
            row = {"error": measure.told(error)}
        self.release()
        self.add(section, what, **case, **row, took_s=time.monotonic() - start)

"""Time `register` with and without pictures, each call in a process of its own.

    python tools/time_pictures.py FIXED MOVING [FIXED MOVING ...] [--rounds 5]

One pair after the other is registered without pictures, with the default ones, with
all, and with each kind alone, in turns; the first round warms the caches up and does
not count. Prints medians of the seconds of CPU and of the clock, and how many times as
long as without pictures a call takes. On a machine that does other work, only the
ratios of CPU time mean something.
"""

from __future__ import annotations

import argparse
import collections
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

from rkd_jax.registration.pictures import DEFAULT, PICTURES

Times = dict[str, list[tuple[float, float]]]
"""Case -> seconds of CPU and of the clock of each run."""


def cases() -> dict[str, str]:
    """Return what is timed: its name, and the value of `--pictures`.

    >>> list(cases())[:3]
    ['none', 'default', 'all']
    """
    whole = {"none": "none", "default": ",".join(DEFAULT), "all": "all"}
    return whole | {name: name for name in PICTURES}


def seconds(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; return the seconds of CPU, user's and system's, and of the clock.

    Raises:
        RuntimeError: it failed; a pair that is not registered counts as failed.
    """
    start = time.perf_counter()
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    spent = [
        getattr(after, kind) - getattr(before, kind)
        for kind in ("children_user", "children_system")
    ]
    return sum(spent), time.perf_counter() - start


def measure(pairs: Sequence[tuple[str, str]], options: argparse.Namespace) -> Times:
    """Time all cases on all pairs in turns; of each run the sum over the pairs."""
    times: Times = collections.defaultdict(list)
    for turn in range(options.rounds + 1):
        for case, names in cases().items():
            found = []
            for pair in pairs:
                with tempfile.TemporaryDirectory() as out:
                    command = [sys.executable, "-m", "rkd_jax.register", *pair]
                    command += ["--pictures", names, "--format", options.format]
                    command += ["--weights", options.weights, "--out", out]
                    found.append(seconds(command))
            if turn:
                times[case].append(tuple(map(sum, zip(*found, strict=True))))
    return times


def table(times: Mapping[str, Sequence[tuple[float, float]]], pairs: int) -> list[str]:
    """Return the lines of the table, seconds of one pair.

    >>> print(*table({"none": [(2.0, 1.0)], "all": [(3.0, 1.2)]}, 1), sep="\\n")
    pictures        CPU s   ratio   clock s   ratio
    none             2.00    1.00      1.00    1.00
    all              3.00    1.50      1.20    1.20
    """
    lines = ["pictures        CPU s   ratio   clock s   ratio"]
    # Ratios within a round: the machine's load changes between rounds.
    base = times["none"]
    for case, runs in times.items():
        cpu, clock = (statistics.median(run[i] for run in runs) / pairs for i in (0, 1))
        ratios = [
            statistics.median(run[i] / none[i] for run, none in zip(runs, base))
            for i in (0, 1)
        ]
        lines.append(
            f"{case:14s}{cpu:7.2f}{ratios[0]:8.2f}{clock:10.2f}{ratios[1]:8.2f}"
        )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("photographs", nargs="+", metavar="FIXED MOVING")
    parser.add_argument("--rounds", type=int, default=5, help="that count")
    parser.add_argument("--weights", default="small", metavar="NAME|FILE")
    parser.add_argument("--format", default="png")
    args = parser.parse_args(argv)
    if len(args.photographs) % 2:
        parser.error(f"expected pairs of files, found {len(args.photographs)} files")
    pairs = list(zip(args.photographs[::2], args.photographs[1::2], strict=True))
    print(*table(measure(pairs, args), len(pairs)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

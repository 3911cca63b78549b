"""Give mutated files of every format to the readers, at length.

    python tools/fuzz_readers.py [--count 100000] [--seed 1] [--formats png tiff]
        [--first NUMBER] [--limit_s 10] [--memory_mb 4096]

Prints tries, seconds and findings by format, the slowest file and the peak of memory.
Exit status 1 if a reader raised anything but a `ValueError` or `OSError` that names the
file, or took longer than the limit. `--formats NAME --first NUMBER --count 1` repeats
one mutation.
"""

import argparse
import collections
import faulthandler
import logging
import os
import pathlib
import signal
import sys
import tempfile
import time

import fuzz_formats
from fuzzing import Format, Outcome, attempt, mutate

_SHOWN = 20  # findings of a format


class TimeUpError(BaseException):
    """A try took too long; no `except Exception` keeps it."""


def _time_up(*_: object) -> None:
    raise TimeUpError


def try_one(
    form: Format, data: bytes, folder: pathlib.Path, limit_s: float
) -> tuple[Outcome, float]:
    """Give one file to its reader; return the outcome and the seconds it took."""
    began = time.monotonic()
    # Code in C is interrupted by no handler; then the stack is printed and we end.
    faulthandler.dump_traceback_later(4 * limit_s, exit=True)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        outcome = attempt(form, data, folder)
    except TimeUpError:
        outcome = Outcome("failed", f"took more than {limit_s:g} s")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
    return outcome, time.monotonic() - began


def fuzz(
    form: Format, numbers: range, args: argparse.Namespace, others: list[bytes]
) -> tuple[collections.Counter, list[str], tuple[float, int]]:
    """Try mutations of one format: counts of outcomes, findings, the slowest try."""
    counts: collections.Counter = collections.Counter()
    findings, slowest = [], (0.0, -1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number in numbers:
            data = mutate(form, number, args.seed, others)
            outcome, seconds = try_one(form, data, folder, args.limit_s)
            counts[outcome.kind] += 1
            slowest = max(slowest, (seconds, number))
            if outcome.kind == "failed" and len(findings) < _SHOWN:
                text = outcome.text.replace(str(folder), "")
                findings.append(f"{form.name} {number}: {text[:300]}")
    return counts, findings, slowest


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="tries in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first try")
    parser.add_argument("--formats", nargs="+", help="names; by default all")
    parser.add_argument("--limit_s", type=float, default=10, help="seconds for a try")
    parser.add_argument("--memory_mb", type=int, default=8192, help="address space")
    args = parser.parse_args(argv)
    import resource  # not on Windows

    formats = fuzz_formats.all_formats()
    others = [seed for form in formats for seed in form.seeds]
    known = [form.name for form in formats]
    if args.formats:
        unknown = set(args.formats) - set(known)
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        formats = [form for form in formats if form.name in args.formats]
    signal.signal(signal.SIGALRM, _time_up)
    limit = args.memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    logging.disable()
    _silence_decoders()
    shares = sum(form.share for form in formats)
    found, total, failed = [], 0, 0
    print(f"{'format':18}{'tries':>8}{'read':>8}{'refused':>9}{'failed':>8}", end="")
    print(f"{'s':>8}  slowest")
    for form in formats:
        began = time.monotonic()
        count = max(1, round(args.count * form.share / shares))
        numbers = range(args.first, args.first + count)
        counts, findings, (seconds, number) = fuzz(form, numbers, args, others)
        found += findings
        total += count
        failed += counts["failed"]
        columns = [counts[kind] for kind in ("read", "refused", "failed")]
        print(
            f"{form.name:18}{count:8}{columns[0]:8}{columns[1]:9}{columns[2]:8}", end=""
        )
        spent = time.monotonic() - began
        print(f"{spent:8.1f}  number {number}: {seconds:.2f} s", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{total} tries with seed {args.seed}, peak of memory {peak:.0f} MB")
    print(f"{failed} failed", *found, sep="\n")
    return int(failed > 0)


def _silence_decoders() -> None:
    """Send what decoders in C print about damaged files to nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stderr = os.fdopen(kept, "w")
    faulthandler.enable(sys.stderr)


if __name__ == "__main__":
    sys.exit(main())

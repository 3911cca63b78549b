"""Timing arms in turns, and what must be measured in a process of its own."""

import json
import pathlib
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

Arm = Callable[[], None]
SLOWER = 1.15
"""A layout this much slower than the other after two rounds is timed no further."""


def interleave(
    arms: dict[str, Arm], *, rounds: int, rivals: tuple[str, ...] = ()
) -> dict[str, list[float]]:
    """Time every arm once a round, in turns, after one run of each to warm up.

    Args:
        arms: Functions that return when their work is done.
        rounds: Timed rounds.
        rivals: Arms of which only the fastest matters: one that is clearly slower
            than another rival after two rounds is left out of the others.

    Returns:
        Seconds of each round, by arm.

    >>> times = interleave({"a": lambda: None, "b": lambda: None}, rounds=3)
    >>> [len(seconds) for seconds in times.values()]
    [3, 3]
    """
    for arm in arms.values():
        arm()
    seconds = {name: [] for name in arms}
    dropped = set()
    for number in range(rounds):
        for name, arm in arms.items():
            if name in dropped:
                continue
            start = time.perf_counter()
            arm()
            seconds[name].append(time.perf_counter() - start)
        if number == 1:
            best = {n: statistics.median(seconds[n]) for n in rivals if n in arms}
            floor = SLOWER * min(best.values(), default=0.0)
            dropped = {name for name, value in best.items() if value > floor}
    return seconds


def peak_mib() -> float:
    """Return the largest memory this process has held so far, MiB (Linux)."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status has no VmHWM; the benchmark needs Linux")


def in_child(script: str, job: dict, *, timeout_s: float) -> dict:
    """Run `script --child JOB` and return the JSON object that it prints last.

    Returns:
        The object; `{"error": text}` if the process failed or took too long.
    """
    command = [sys.executable, script, "--child", json.dumps(job)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {timeout_s:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return {"error": lines[-1][:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])

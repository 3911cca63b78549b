"""Timing arms in turns, and what must be measured in a process of its own."""

import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

Arm = Callable[[int], None]
"""Does its work that many times in a row and returns when all of it is done."""
SLOWER = 1.15
"""A layout this much slower than the other after two rounds is timed no further."""


def told(error: Exception) -> str:
    """Return an error as one short line.

    >>> told(ValueError("no memory\\nfor this"))
    'ValueError: no memory for this'
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def interleave(
    builders: dict[str, Callable[[], Arm]],
    *,
    rounds: int,
    repeats: int = 1,
    rivals: tuple[str, ...] = (),
    release: Callable[[], None] = lambda: None,
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Time every arm once a round, in turns, after one run of each to warm up.

    An arm that fails, for example for lack of memory, is left out.

    Args:
        builders: Functions that build the arms.
        rounds: Timed rounds.
        repeats: Runs of an arm in a row within a round: a GPU is not waited for
            between them.
        rivals: Arms of which only the fastest matters: one that is clearly slower
            than another rival is left out after two rounds.
        release: Called after a failure, to free memory.

    Returns:
        Seconds a run of each round, by arm; and what went wrong, by arm.

    >>> def broken():
    ...     raise MemoryError("too large")
    >>> times, errors = interleave({"a": lambda: print, "b": broken}, rounds=2)
    1
    1
    1
    >>> len(times["a"]), errors
    (2, {'b': 'MemoryError: too large'})
    """
    arms: dict[str, Arm] = {}
    errors: dict[str, str] = {}

    def attempt(name: str, action: Callable[[], None]) -> bool:
        try:
            action()
        except Exception as error:
            errors[name] = told(error)
            arms.pop(name, None)
        else:
            return True
        # Here, where the error no longer holds on to what the arm has made.
        release()
        return False

    def begin(name: str) -> None:
        arms[name] = builders[name]()
        arms[name](1)

    seconds: dict[str, list[float]] = {}
    for name in builders:
        if attempt(name, lambda name=name: begin(name)):
            seconds[name] = []
    dropped = set()
    for number in range(rounds):
        for name in [name for name in arms if name not in dropped]:
            start = time.perf_counter()
            if attempt(name, lambda name=name: arms[name](repeats)):
                seconds[name].append((time.perf_counter() - start) / repeats)
        if number == 1:
            best = {n: statistics.median(seconds[n]) for n in rivals if n in arms}
            floor = SLOWER * min(best.values(), default=0.0)
            dropped = {name for name, value in best.items() if value > floor}
    return {name: seconds[name] for name in arms}, errors


def peak_mib() -> float:
    """Return the largest memory this process has held so far, MiB."""
    found = _mib(pathlib.Path("/proc/self/status"), "VmHWM")
    if found is not None:  # Linux hands `ru_maxrss` on to children.
        return found
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def room_mib(proc: pathlib.Path = pathlib.Path("/proc")) -> float:
    """Return the memory that this process holds and could still take, MiB.

    Infinite where the system does not report it; a container's own limit is not seen.
    """
    free = _mib(proc / "meminfo", "MemAvailable")
    held = _mib(proc / "self" / "status", "RssAnon")
    return float("inf") if free is None or held is None else free + held


def _mib(file: pathlib.Path, key: str) -> float | None:
    """Return a size that Linux reports in KiB, in MiB; None where it does not."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = [line for line in lines if line.startswith(f"{key}:")]
    return int(found[0].split()[1]) / 1024 if found else None


def union(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one of some spans of time lasted.

    >>> union([(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (7.0, 8.0)])
    6.0
    """
    total, end = 0.0, -float("inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


class CompileClock:
    """Adds up the time that JAX takes to trace, lower and compile.

    Its events nest (a traced function that calls another): time counts once. Taken
    from a compilation cache, a program counts with the time of reading it.
    """

    EVENTS = (
        "/jax/core/compile/jaxpr_trace_duration",
        "/jax/core/compile/jaxpr_to_mlir_module_duration",
        "/jax/core/compile/backend_compile_duration",
    )

    def __init__(self):
        import jax.monitoring

        self._spans: list[tuple[float, float]] = []
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, duration: float, **_) -> None:
        if event in self.EVENTS:
            now = time.perf_counter()
            self._spans.append((now - duration, now))

    def seconds(self) -> float:
        """Return the time in all since the clock was made."""
        return union(self._spans)


def in_child(
    script: str, job: dict, *, timeout_s: float, environment: dict[str, str]
) -> dict:
    """Run `script --child JOB` and return the JSON object that it prints last.

    Args:
        script: Path of a program.
        job: What the child measures.
        timeout_s: It is stopped after so long.
        environment: Variables it starts with.

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
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {timeout_s:.0f} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        return {"error": lines[-1][:200]}
    return json.loads(done.stdout.strip().splitlines()[-1])

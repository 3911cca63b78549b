"""Make the memory of compiled programs cheap: kept, or in huge pages (glibc)."""

import contextlib
import ctypes
import os
import pathlib
import sys
from collections.abc import Mapping

# Parameters of `mallopt`: the number in glibc's malloc.h, and our value.
_ALL = {
    "M_ARENA_MAX": (-8, 1),  # one heap for all threads
    "M_TRIM_THRESHOLD": (-1, -1),  # never give the heap's top back to the kernel
    "M_TOP_PAD": (-2, 2**26),  # grow the heap by 64 MiB at a time
    "M_MXFAST": (1, 0),  # small freed blocks are merged with their neighbors at once
}
# Without huge pages: no block gets a mapping of its own, so freed memory is kept.
_KEPT = {**_ALL, "M_MMAP_MAX": (-4, 0)}
# With huge pages: blocks above 32 MiB (the largest threshold that glibc takes) are
# mapped and unmapped at each call, which is as fast, and the process holds only what it
# needs. Kept blocks may need twice as much: glibc aligns a block by cutting small
# pieces off its ends, and while such a piece is in use, the freed block is too small
# for the next call.
_MAPPED = {**_ALL, "M_MMAP_THRESHOLD": (-3, 2**25)}
# glibc reads these when a program starts: use huge pages (by madvise); keep no cache of
# small blocks in each thread, so that small pieces are merged and kept blocks seldom
# need twice as much.
_TUNABLES = {"glibc.malloc.hugetlb": "1", "glibc.malloc.tcache_count": "0"}
# The tunables that a program was given before `start_again`: it starts again only once.
_GIVEN = "RKD_JAX_GIVEN_TUNABLES"
_HUGE_PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
# "0": `start_again` does nothing.
_SWITCH = "RKD_JAX_START_AGAIN"
_ACCELERATORS = ("nvidiactl", "kfd", "accel[0-9]*", "vfio/[0-9]*")
# Modules of debuggers, notebooks and profilers: replacing the process would end them.
_WATCHING = {"jax", "IPython", "debugpy", "pydevd", "coverage"}


def keep_freed_memory(*, give_back: bool = True) -> bool:
    """Make a compiled program's memory cheap; call it before JAX starts its threads.

    A compiled program on a CPU takes its temporary arrays from the C library at each
    call, and by default these go back to the kernel, which clears every small page
    again at the next step: a fifth of the time of a training step. In the environment
    of `at_start`, large blocks have huge pages and are given back; in others, what was
    freed is kept, and the process stays at its peak. Does nothing without glibc, and
    where there is an accelerator (and JAX_PLATFORMS does not say cpu): there the
    threads that read data want their own arenas.

    Args:
        give_back: Give large blocks back where that is cheap.

    Returns:
        Whether every setting was taken.
    """
    if not _glibc() or _has_accelerator(os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = _MAPPED if give_back and _has_huge_pages(os.environ) else _KEPT
    return all([mallopt(key, value) == 1 for key, value in settings.values()])


def keeping_environment() -> dict[str, str]:
    """Return an environment in which a process keeps freed memory from its start.

    As `keep_freed_memory(give_back=False)`, which comes too late for the threads that a
    process has already.

    >>> all(name.startswith("MALLOC_") for name in keeping_environment())
    True
    """
    if not _glibc() or _has_accelerator(os.environ):
        return {}
    return {
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_TRIM_THRESHOLD_": str(2**40),
        "MALLOC_TOP_PAD_": str(2**26),
        "MALLOC_MMAP_MAX_": "0",
    }


def _glibc() -> tuple[int, ...]:
    """Return the version of glibc; empty where there is another C library."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        return tuple(map(int, version.split("."))) if name == "glibc" else ()
    except (ValueError, OSError, AttributeError):
        return ()


def _has_accelerator(environment: Mapping[str, str]) -> bool:
    asked = environment.get("JAX_PLATFORMS", "")
    if asked:
        return not asked.startswith("cpu")
    return any(any(pathlib.Path("/dev").glob(name)) for name in _ACCELERATORS)


def _has_huge_pages(environment: Mapping[str, str]) -> bool:
    # glibc knows the tunable since 2.35; the kernel has to allow such pages.
    asked = "glibc.malloc.hugetlb=1" in environment.get("GLIBC_TUNABLES", "").split(":")
    if not asked or _glibc() < (2, 35):
        return False
    try:
        return "[never]" not in _HUGE_PAGES.read_text(encoding="utf-8")
    except OSError:
        return False


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a compiled program's memory is cheap.

    Tunables that are given already stay as they are.

    >>> at_start({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"})["GLIBC_TUNABLES"]
    'glibc.malloc.hugetlb=0:glibc.malloc.tcache_count=0'
    """
    given = environment.get("GLIBC_TUNABLES", "")
    known = {part.partition("=")[0] for part in given.split(":")}
    more = [f"{name}={value}" for name, value in _TUNABLES.items() if name not in known]
    tunables = ":".join(filter(None, [given, *more]))
    return {**environment, "GLIBC_TUNABLES": tunables}


def before_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment as it was given, before `start_again`.

    >>> before_start({"A": "1", "GLIBC_TUNABLES": "x=1", "RKD_JAX_GIVEN_TUNABLES": ""})
    {'A': '1'}
    """
    found = dict(environment)
    given = found.pop(_GIVEN, None)
    if given is not None:
        found.pop("GLIBC_TUNABLES", None)
    return {**found, "GLIBC_TUNABLES": given} if given else found


def _bound() -> bool:
    """Tell whether this process cannot be replaced by another one."""
    watched = sys.gettrace() or sys.getprofile() or _WATCHING & set(sys.modules)
    if sys.version_info >= (3, 12):  # where cProfile and coverage are tools
        watched = watched or any(map(sys.monitoring.get_tool, range(6)))
    processes = sys.modules.get("multiprocessing")
    child = processes is not None and processes.parent_process() is not None
    read_from_stdin = not sys.argv or sys.argv[0] in ("", "-")
    return bool(watched or child or read_from_stdin or not sys.executable)


def start_again() -> None:
    """Start this program anew in the environment of `at_start`, if it is not in it.

    For a program's first lines: nothing of what it has done remains. Returns where
    there is nothing to do: without glibc, with an accelerator, the second time, or with
    RKD_JAX_START_AGAIN=0; and where it would do harm: in a notebook, under a debugger,
    profiler or coverage, in a child of multiprocessing, in a program read from standard
    input, or where JAX has been imported already.
    """
    useless = _GIVEN in os.environ or os.environ.get(_SWITCH) == "0"
    if useless or not _glibc() or _has_accelerator(os.environ) or _bound():
        return
    environment = at_start(os.environ)
    if environment == dict(os.environ):
        return
    environment[_GIVEN] = os.environ.get("GLIBC_TUNABLES", "")
    sys.stdout.flush()
    with contextlib.suppress(OSError):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)

"""Keep the memory that the C library frees, so that it need not be mapped anew."""

import ctypes
import os
import sys
from collections.abc import Mapping

# Numbers of glibc's malloc.h. One arena without mapped blocks serves all sizes from
# memory that stays; the last two say that none of its end is given back (the threshold
# is an int, so 2 GiB is the most that a number could say) and how much is asked for.
_SETTINGS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, -1),
    "M_TOP_PAD": (-2, 2**26),
    "M_MXFAST": (1, 0),
}
# A compiled program's block is aligned: glibc (2.36) cuts scraps off both its ends. In
# a thread's cache they are not joined to the freed block, which is then too small for
# the next call of the same program, and the process grows by the block once more. The
# size of that cache is read when a program starts.
_TUNABLE = "glibc.malloc.tcache_count"


def keep_freed_memory() -> bool:
    """Let this process keep freed memory; call it before JAX starts its threads.

    A compiled program on a CPU takes its temporary arrays from the C library at each
    call, and by default these go back to the kernel, which clears every page again at
    the next step: a fifth of the time of a training step. The process grows to its
    peak and stays there. Does nothing where there is no glibc.

    Returns:
        Whether every setting was taken.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(key, value) == 1 for key, value in _SETTINGS.values()])


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which freed memory is used again by the next call.

    `keep_freed_memory` keeps memory; without this a training step can take twice what
    it needs from its second call on.

    >>> at_start({"GLIBC_TUNABLES": "glibc.malloc.check=1"})["GLIBC_TUNABLES"]
    'glibc.malloc.check=1:glibc.malloc.tcache_count=0'
    """
    given = environment.get("GLIBC_TUNABLES", "")
    if _TUNABLE in given:
        return dict(environment)
    tunables = ":".join(filter(None, [given, f"{_TUNABLE}=0"]))
    return {**environment, "GLIBC_TUNABLES": tunables}


def start_again() -> None:
    """Start this program anew in the environment of `at_start`, if it is not in it.

    For a program's first lines: nothing of what it has done remains. Returns where
    there is nothing to do.
    """
    environment = at_start(os.environ)
    known = sys.platform.startswith("linux") and sys.executable
    if known and environment != dict(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)

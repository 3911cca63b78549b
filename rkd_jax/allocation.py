"""Keep the memory that the C library frees, so that it need not be mapped anew."""

import ctypes
import sys

# Numbers of glibc's malloc.h. One arena without mapped blocks serves all sizes from
# memory that stays; the last two say that none of its end is given back (the threshold
# is an int, so 2 GiB is the most that a number could say) and how much is asked for.
_SETTINGS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_MAX": (-4, 0),
    "M_TRIM_THRESHOLD": (-1, -1),
    "M_TOP_PAD": (-2, 2**26),
}


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

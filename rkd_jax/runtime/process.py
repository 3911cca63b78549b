"""What a command sets before it imports NumPy and JAX, so that it starts sooner."""

import gc
import os

_LEAST_OF_XLA = 2


def prepare_start() -> None:
    """Set what makes a process cheaper, and its results those of other processes.

    - OpenBLAS's threads sleep as soon as they are idle. By default they wait in a busy
      loop for the next product; the many small products of a registration then cost
      twice the seconds of CPU. A value that is set already stays.
    - OpenBLAS has one thread: the products are so small that more cost time. Their last
      bits depend on the number of threads; so results do not depend on the machine's
      cores.
    - XLA has two threads where there is one core: with one, but with no other number,
      the last bits of its convolutions differ.
    - Python looks for circles of dead objects after 50,000 new ones instead of 700: the
      imports alone make 300,000, which stay.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if cores() < _LEAST_OF_XLA:
        os.environ.setdefault("NPROC", str(_LEAST_OF_XLA))
    gc.set_threshold(50_000)


def cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def share_of(count: int) -> dict[str, str]:
    """Return the environment of a process that is to use so many cores.

    >>> share_of(1)["OMP_NUM_THREADS"]
    '1'
    """
    return {
        "NPROC": str(max(_LEAST_OF_XLA, count)),  # threads of XLA
        "OMP_NUM_THREADS": str(count),
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),
    }


def take_share() -> None:
    """Let OpenCV and XLA have the threads that the environment gives to OpenMP.

    For a process of a worker, whose environment says which share of the machine it has,
    before it uses JAX.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if not given.isdecimal() or not int(given):
        return
    import cv2

    cv2.setNumThreads(int(given))
    for name, value in share_of(int(given)).items():
        os.environ.setdefault(name, value)

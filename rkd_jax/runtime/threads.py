"""Threads of NumPy's linear algebra that do not wait in a busy loop."""

import os


def sleep_when_idle() -> None:
    """Let OpenBLAS's threads sleep as soon as they are idle.

    To be called before NumPy is imported. By default they wait in a busy loop for the
    next product; the many small products of a registration then cost twice the seconds
    of CPU. Results stay the same. A value that is set already stays.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

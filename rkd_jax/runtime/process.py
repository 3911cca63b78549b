"""What a command sets before it imports NumPy and JAX, so that it starts sooner."""

import gc
import os


def prepare_start() -> None:
    """Set what makes a process cheaper; no result depends on it.

    - OpenBLAS's threads sleep as soon as they are idle. By default they wait in a busy
      loop for the next product; the many small products of a registration then cost
      twice the seconds of CPU. A value that is set already stays.
    - Python looks for circles of dead objects after 50,000 new ones instead of 700: the
      imports alone make 300,000, which stay.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    gc.set_threshold(50_000)

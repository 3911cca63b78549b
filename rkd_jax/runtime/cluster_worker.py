"""What a process of `--jobs` sets first: Dask imports this module there."""

import signal
from typing import Any

from rkd_jax.runtime.memory import keep_freed_memory


def dask_setup(worker: Any) -> None:
    """Set up a worker, before it has threads that work.

    Args:
        worker: Dask's.
    """
    # Ctrl-C reaches all processes of a terminal: the command ends the workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()

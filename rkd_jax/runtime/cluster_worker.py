"""What a process of `--jobs` sets first: Dask imports this module there."""

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Let Ctrl-C, which reaches all processes of a terminal, end the command alone.

    The command then ends its workers.

    Args:
        worker: Dask's.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

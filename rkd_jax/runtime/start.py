"""What a training process sets up before anything large is allocated."""

import logging
import re

from rkd_jax.runtime.compile_cache import keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory


def prepare_jax(cache_dir: str) -> None:
    """Show progress lines, make memory cheap, and keep compiled programs.

    Args:
        cache_dir: where compiled programs are kept; empty: nowhere.
    """
    _show_progress()
    keep_freed_memory()
    keep_compiled(cache_dir)


def _show_progress() -> None:
    """Show our own lines from INFO on; of other libraries, warnings only."""
    from absl import logging as absl_logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = logging.getLogger("rkd_jax")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    absl_logging.set_verbosity(absl_logging.WARNING)


def join_processes(coordinator: str, count: int, number: int) -> None:
    """Join the other processes of a run, if there are any.

    Args:
        coordinator: address:port of the first; "auto" asks the cluster; empty: this
            process is alone.
        count: processes in all.
        number: of this one, from 0.

    Raises:
        ValueError: the coordinator is no address with a port.
    """
    if coordinator not in ("", "auto") and not re.fullmatch(r".+:\d+", coordinator):
        raise ValueError(
            f"--coordinator={coordinator}: expected HOST:PORT of the first process, or "
            "auto"
        )
    import jax

    if coordinator == "auto":
        jax.distributed.initialize()
    elif coordinator:
        jax.distributed.initialize(coordinator, count, number)
    if jax.process_count() > 1:
        # The first collective of CPU processes must find all of them within seconds:
        # make it now, before their compile times can differ.
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("start")

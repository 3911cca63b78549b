"""Connect to the workers of a Dask cluster: those of a scheduler, or new processes.

    with connected(Workers(jobs=4), prepare) as cluster:
        for item, result in cluster.run(items, work): ...

Without workers the same lines work in this process, and Dask is not imported.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Callable, Iterator
from typing import Any

from rkd_jax.runtime import extras
from rkd_jax.runtime.cluster_run import (
    Cluster,
    DaskCluster,
    ThisProcess,
    WorkersError,
)
from rkd_jax.runtime.memory import keeping_environment
from rkd_jax.runtime.process import cores, share_of
from rkd_jax.runtime.workers import Workers
from rkd_jax.version import __version__

_ANSWER_S = 10.0


@contextlib.contextmanager
def connected(
    workers: Workers,
    prepare: Callable[[], Any],
    *,
    most: int | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Cluster]:
    """Start workers, or connect to those of a scheduler; end what was started.

    Args:
        workers: which.
        prepare: called once in each process that works, and can be pickled; its
            result goes to the functions of `Cluster.run`.
        most: no more processes are started on this machine than this.
        note: gets a line about what a user may want to know.

    Raises:
        MissingExtraError: Dask is not installed.
        WorkersError: no scheduler there, no workers, or they have another version.
    """
    if not workers.flag:
        yield ThisProcess(prepare)
        return
    extras.require("cluster")
    from distributed import Client

    with contextlib.ExitStack() as stack:
        stack.enter_context(_quiet())
        if workers.scheduler:
            address = workers.scheduler
        else:
            jobs = workers.jobs if most is None else max(1, min(workers.jobs, most))
            address = stack.enter_context(_local(jobs))
        try:
            client = Client(address, timeout=_ANSWER_S, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise WorkersError(
                f"{workers.flag}: no Dask scheduler answers there ({error}); start one "
                "with `dask scheduler`, and give the address that it prints"
            ) from error
        stack.callback(client.close, timeout=1)
        try:
            client.wait_for_workers(1, timeout=_ANSWER_S)
        except TimeoutError as error:
            raise WorkersError(
                f"{workers.flag}: the scheduler has no workers; start some with "
                f"`dask worker {workers.scheduler}`"
            ) from error
        _check_versions(client, workers.flag)
        yield DaskCluster(client, prepare, note)


@contextlib.contextmanager
def _local(jobs: int) -> Iterator[Any]:
    """Start processes on this machine, each with its share of the cores."""
    import dask
    from distributed import LocalCluster

    environment = {
        **share_of(max(1, cores() // jobs)),
        **keeping_environment(),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # they share a GPU
    }
    before = dict(os.environ)
    # Each death is counted here, where it is known whose fault it was.
    options = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.nanny.pre-spawn-environ": environment,
    }
    try:
        with dask.config.set(options):
            cluster = LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                host="127.0.0.1",
                # One that waits for memory would wait for ever: nothing is spilled.
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                preload=["rkd_jax.runtime.cluster_worker"],
            )
        try:
            yield cluster
        finally:
            cluster.close(timeout=5)
    finally:
        os.environ.clear()  # Dask sets the variables of its workers here, too
        os.environ.update(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let Dask's log be silent: what matters becomes an error or a note here."""
    from distributed.utils import silence_logging_cmgr

    with contextlib.ExitStack() as stack:
        for root in ("distributed", "tornado"):
            stack.enter_context(silence_logging_cmgr(logging.CRITICAL, root))
        yield


def _versions() -> dict[str, str]:
    """Return what must be the same in a worker and here."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"rkd_jax": __version__, "Python": python}


def _check_versions(client: Any, flag: str) -> None:
    """Refuse a cluster that would not do what this process would do."""
    try:
        found = {"the scheduler": client.run_on_scheduler(_versions)}
    except Exception as error:
        found = {"the scheduler": error}
    for address, answer in client.run(_versions, on_error="return").items():
        found[f"the worker {address}"] = answer
    here = _versions()
    for place, answer in found.items():
        if isinstance(answer, Exception):
            raise WorkersError(
                f"{flag}: {place} cannot use rkd_jax ({answer}); install rkd_jax "
                f"{__version__} there"
            )
        for name, version in here.items():
            if answer[name] != version:
                raise WorkersError(
                    f"{flag}: {place} has {name} {answer[name]}, this command "
                    f"{version}; install the same version there"
                )

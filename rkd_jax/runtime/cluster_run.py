"""Work on many items by the workers of a Dask cluster that is connected.

Items are taken from their iterator when a worker is free, results come in the order of
the items, and a worker that dies loses nothing: its items go to another one.
`rkd_jax.runtime.cluster` connects.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
import pickle
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_DEATHS = 3
"""An item is given up when so many workers died at it."""
AHEAD = 16
"""At most so many items for each thread of the workers are held by `Cluster.run`."""
MOST_TOGETHER = 8
"""So many consecutive items that belong together are one task, at most."""
_TASKS_EACH = 8  # at least, for each thread, before items go together
_LOOK_EVERY_S = 10.0
_LOST = "the scheduler of the workers is lost; what is finished is kept, start again"


def _never(last: Any, item: Any) -> bool:
    return False


class WorkersError(OSError):
    """The workers cannot be reached, or cannot do the work."""


class WorkerLostError(Exception):
    """All workers that tried an item died at it; in place of the item's result."""


@dataclasses.dataclass(eq=False)
class _Batch:
    """Consecutive items that one worker gets together, and what became of them."""

    items: list[Any]
    results: list[Any] | None = None
    deaths: int = 0

    @property
    def suspect(self) -> bool:
        """Whether it is tried alone: one more death is its own fault."""
        return self.deaths >= MOST_DEATHS - 1


class Cluster(Protocol):
    """Works on items; see `rkd_jax.runtime.cluster.connected`."""

    def run(
        self,
        items: Iterable[Item],
        work: Callable[[Any, Item], Result],
        *,
        together: Callable[[Item, Item], bool] = _never,
        count: int = 0,
    ) -> Iterator[tuple[Item, Result | WorkerLostError]]:
        """Yield each item with its result, in the order of the items.

        Few items are taken from `items` before the results of earlier ones are
        yielded: memory does not grow with their number.

        Args:
            items: what to work on; can be pickled.
            work: returns the result of what `prepare` returned and an item; can be
                pickled. What it raises ends the run.
            together: whether an item should go to the worker of the one before it.
            count: of the items; where there are few, fewer go together, so that each
                worker gets some.

        Yields:
            Item and result; a `WorkerLostError` where `MOST_DEATHS` workers died.

        Raises:
            WorkersError: the scheduler is lost.
            Exception: what `work` or `prepare` raises, with a note of the worker.
        """


class ThisProcess:
    """Works on items one after the other, here.

    Args:
        prepare: called once; its result goes to `work`.

    Example:
        >>> list(ThisProcess(lambda: 10).run([1, 2], lambda state, item: state + item))
        [(1, 11), (2, 12)]
    """

    def __init__(self, prepare: Callable[[], Any]) -> None:
        self._prepare = functools.cache(prepare)

    def run(
        self,
        items: Iterable[Item],
        work: Callable[[Any, Item], Result],
        *,
        together: Callable[[Item, Item], bool] = _never,
        count: int = 0,
    ) -> Iterator[tuple[Item, Result | WorkerLostError]]:
        """Yield each item with its result: see `Cluster.run`."""
        for item in items:
            yield item, work(self._prepare(), item)


class DaskCluster:
    """Workers that are connected.

    At most `AHEAD` items for each of their threads are taken, and not yielded yet, at
    a time; `MOST_TOGETHER` consecutive ones that belong together are one task.

    Args:
        client: a `distributed.Client`.
        prepare: called once in each process of the workers.
        note: gets a line about what a user may want to know.
    """

    def __init__(
        self, client: Any, prepare: Callable[[], Any], note: Callable[[str], None]
    ) -> None:
        self._client, self._prepare, self._note = client, prepare, note
        self._token = uuid.uuid4().hex

    def run(
        self,
        items: Iterable[Item],
        work: Callable[[Any, Item], Result],
        *,
        together: Callable[[Item, Item], bool] = _never,
        count: int = 0,
    ) -> Iterator[tuple[Item, Result | WorkerLostError]]:
        """Yield each item with its result: see `Cluster.run`."""
        task = pickle.dumps((work, self._prepare))
        run = _Run(self._client, self._note, self._token, task)
        share = count // (_TASKS_EACH * self._threads())
        most = max(1, min(MOST_TOGETHER, share))
        yield from run.results(_batches(iter(items), together, most))

    def _threads(self) -> int:
        return max(1, sum(self._client.nthreads().values()))


class _Run:
    """One run over items: what is running, and what waits for its turn."""

    def __init__(
        self, client: Any, note: Callable[[str], None], token: str, work: bytes
    ) -> None:
        self._client, self._note = client, note
        self._token, self._work = token, work
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._running: dict[Any, _Batch] = {}
        self._held: list[_Batch] = []  # in order: not yielded yet
        self._again: collections.deque[_Batch] = collections.deque()
        self._threads, self._looked_at = 1, -math.inf
        self._deserted = False  # it was said that there is no worker

    def results(self, batches: Iterator[_Batch]) -> Iterator[tuple[Any, Any]]:
        try:
            while True:
                self._look()
                self._submit(batches)
                if not self._running:
                    return
                self._finish()
                while self._held and self._held[0].results is not None:
                    batch = self._held.pop(0)
                    yield from zip(batch.items, batch.results, strict=True)
        finally:
            if self._running and self._client.status == "running":
                self._client.cancel(list(self._running), force=True)

    def _submit(self, batches: Iterator[_Batch]) -> None:
        """Give the workers what they can take: a batch for each of their threads.

        So a batch seldom waits behind one that kills the worker.
        """
        while len(self._running) < self._threads:
            if any(batch.suspect for batch in self._running.values()):
                return
            if self._again:
                if self._again[0].suspect and self._running:
                    return  # it will be alone
                batch = self._again.popleft()
            else:
                held = sum(len(batch.items) for batch in self._held)
                found = next(batches, None) if held < AHEAD * self._threads else None
                if found is None:
                    return
                batch = found
                self._held.append(batch)
            future = self._client.submit(
                _work_on,
                self._token,
                self._work,
                # Dask would look into lists and tuples for tasks of its own.
                pickle.dumps(batch.items),
                key=f"rkd_jax-{uuid.uuid4().hex}",
                pure=False,
            )
            self._running[future] = batch
            future.add_done_callback(self._done.put)

    def _finish(self) -> None:
        """Wait for a batch; keep its results, or have it tried again."""
        from distributed.scheduler import KilledWorker

        while True:
            try:
                future = self._done.get(timeout=_LOOK_EVERY_S)
                break
            except queue.Empty:
                self._look(waiting=True)
        batch = self._running.pop(future)
        if future.status == "finished":
            batch.results = future.result()
            return
        error = future.exception() if future.status == "error" else None
        if isinstance(error, KilledWorker):
            self._died(batch, error.allowed_failures + 1)
        elif error is not None:
            raise error
        else:
            raise WorkersError(_LOST)

    def _died(self, batch: _Batch, deaths: int) -> None:
        """Try the items of a batch again, each for itself, or give one up."""
        alone = batch.suspect
        batch.deaths += deaths
        if alone:
            text = f"{batch.deaths} workers died at it (killed, or out of memory)"
            batch.results = [WorkerLostError(text)]
            return
        self._note("a worker died (killed, or out of memory); its work is done again")
        parts = [_Batch([item], deaths=batch.deaths) for item in batch.items]
        at = self._held.index(batch)
        self._held[at : at + 1] = parts
        self._again.extend(parts)

    def _look(self, *, waiting: bool = False) -> None:
        """Find out now and then how many threads the workers have.

        Args:
            waiting: nothing was finished for a while.
        """
        if time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        try:
            threads = sum(self._client.nthreads().values())
        except (OSError, TimeoutError, RuntimeError) as error:
            raise WorkersError(_LOST) from error
        if threads:
            self._deserted = False
        elif waiting and not self._deserted:
            self._note("there is no worker now; waiting for one")
            self._deserted = True
        self._threads, self._looked_at = max(1, threads), time.monotonic()


def _batches(
    items: Iterator[Any], together: Callable[[Any, Any], bool], most: int
) -> Iterator[_Batch]:
    """Yield consecutive items that belong together, at most so many, lazily."""
    first = list(itertools.islice(items, 1))
    while first:
        batch, first = first, []
        for item in items:
            if len(batch) == most or not together(batch[-1], item):
                first = [item]
                break
            batch.append(item)
        yield _Batch(batch)


_states: dict[str, Any] = {}
_preparing = threading.Lock()


def _work_on(token: str, work: bytes, items: bytes) -> list[Any]:
    """Work on items in a worker; what `prepare` returned is kept for later ones.

    Args:
        token: of the run.
        work: the functions `work` and `prepare`, pickled.
        items: pickled.
    """
    function, prepare = pickle.loads(work)
    try:
        with _preparing:
            if token not in _states:
                _states.clear()  # of an earlier run: it may hold gigabytes
                _states[token] = prepare()
            state = _states[token]
        return [function(state, item) for item in pickle.loads(items)]
    except Exception as error:
        from distributed import get_worker

        error.add_note(f"on the worker {get_worker().address}")
        raise

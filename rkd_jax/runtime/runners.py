"""Work on the items of a command by its runner, or by equal runners of workers.

    make = functools.partial(Runner, recipe)
    runner = make()
    for item, result in work_on(items, Runner.work, runner, make, workers=..., out=...):
        ...

A runner is what a process makes once, such as a network that is loaded, and then uses
for all its items.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from rkd_jax.runtime.cluster import connected
from rkd_jax.runtime.cluster_run import Cluster, WorkerLostError
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start, take_share
from rkd_jax.runtime.workers import Workers

Item = TypeVar("Item")
Result = TypeVar("Result")


class HasFacts(Protocol):
    """A runner: `facts` are all that its results depend on besides the items."""

    facts: dict[str, Any]


Runner = TypeVar("Runner", bound=HasFacts)


def work_on(
    items: Sequence[Item],
    work: Callable[[Runner, Item], Result],
    runner: Runner,
    make: Callable[[pathlib.Path], Runner],
    *,
    workers: Workers,
    out: pathlib.Path,
    note: Callable[[str], None] = lambda text: None,
) -> Generator[tuple[Item, Result | WorkerLostError]]:
    """Yield each item with its result, in order, by this process or by workers.

    Close it where not all results are taken: that ends the workers.

    Args:
        items: what to work on.
        work: returns the result of a runner and an item; can be pickled.
        runner, make, workers, out, note: see `serving`.

    Raises:
        OSError, ValueError: see `serving`.
    """
    with serving(
        runner, make, workers=workers, out=out, most=len(items), note=note
    ) as cluster:
        yield from cluster.run(items, work, count=len(items))


@contextlib.contextmanager
def serving(
    runner: Runner,
    make: Callable[[pathlib.Path], Runner],
    *,
    workers: Workers,
    out: pathlib.Path,
    most: int,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Cluster]:
    """Connect to processes whose runners do the same as that of this process.

    Args:
        runner: of this process; works alone if there are no workers.
        make: returns an equal runner in another process; its argument is the folder
            that relative paths are of. Can be pickled.
        workers: who works.
        out: folder of the results, which all processes must see.
        most: no more processes are started on this machine than this.
        note: gets a line about what a user may want to know.

    Raises:
        MissingExtraError, WorkersError: see `connected`.
        OSError: from `Cluster.run`: a worker does not see the folder of the results.
        ValueError: likewise: a worker would not do the same.
    """
    if not workers.flag:
        with connected(workers, lambda: runner) as cluster:
            yield cluster
        return
    mark = f".rkd_jax_run.{uuid.uuid4().hex}"
    order = _Order(make, runner.facts, out, pathlib.Path.cwd(), mark)
    with (
        connected(workers, order.runner, most=most, note=note) as cluster,
        _marked(out / mark),
    ):
        yield cluster


@dataclasses.dataclass(frozen=True)
class _Order:
    """What the process of a worker is sent to make its runner.

    Attributes:
        make: see `serving`.
        facts: that the runner must have.
        out: folder of the results.
        base: the current folder of the command.
        mark: name of a file in `out` that is there while the command runs.
    """

    make: Callable[[pathlib.Path], Any]
    facts: dict[str, Any]
    out: pathlib.Path
    base: pathlib.Path
    mark: str

    def runner(self) -> Any:
        """Take the process's share of the machine, and make the runner."""
        out = self.base / self.out
        if not (out / self.mark).is_file():
            raise FileNotFoundError(
                f"{out}: a worker does not see this folder of results; workers on "
                "other machines need the photographs and --out on a shared file "
                "system, under the same paths"
            )
        prepare_start()
        keep_freed_memory()
        take_share()
        runner = self.make(self.base)
        check_same(runner.facts, self.facts)
        return runner


def check_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise a ValueError unless a worker would do the same as the command.

    Args:
        found: all that the worker's results depend on besides the input.
        wanted: the same of the command.

    >>> check_same({"version": "1"}, {"version": "2"})
    Traceback (most recent call last):
    ...
    ValueError: a worker would work with version = '1', this command with '2'; ...
    """
    for name in {**wanted, **found}:
        theirs, ours = found.get(name), wanted.get(name)
        if theirs != ours:
            raise ValueError(
                f"a worker would work with {name} = {theirs!r}, this command with "
                f"{ours!r}; install the same version and weights there"
            )


@contextlib.contextmanager
def _marked(mark: pathlib.Path) -> Iterator[None]:
    """Have a file, by which a worker knows that it sees the folder of the results."""
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)

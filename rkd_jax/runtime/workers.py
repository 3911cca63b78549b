"""Where a command works on many items: in this process, or on workers."""

from __future__ import annotations

import argparse
import dataclasses


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who works on many items; by default this process alone.

    Attributes:
        jobs: processes on this machine; 1 is this process.
        scheduler: address of the scheduler of a Dask cluster, in place of `jobs`.
    """

    jobs: int = 1
    scheduler: str = ""

    @property
    def flag(self) -> str:
        """Return the option of a command that asks for workers; empty without one.

        >>> Workers(jobs=4).flag, Workers().flag
        ('--jobs 4', '')
        """
        if self.scheduler:
            return f"--scheduler {self.scheduler}"
        return f"--jobs {self.jobs}" if self.jobs > 1 else ""


def add_options(parser: argparse.ArgumentParser, what: str = "pair") -> None:
    """Add `--jobs` and `--scheduler` to the parser of a command.

    Args:
        parser: of the command.
        what: the items' noun.
    """
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--jobs",
        type=_jobs,
        default=1,
        metavar="N",
        help=f"work on N {what}s at once, in N processes on this machine (default: 1)",
    )
    which.add_argument(
        "--scheduler",
        default="",
        metavar="ADDRESS",
        help="let the workers of a Dask cluster do it, such as tcp://HOST:8786; they "
        "must see the files under the same paths",
    )


def workers_of(args: argparse.Namespace) -> Workers:
    """Return what the options of `add_options` ask for.

    >>> parser = argparse.ArgumentParser()
    >>> add_options(parser)
    >>> workers_of(parser.parse_args(["--jobs", "2"]))
    Workers(jobs=2, scheduler='')
    """
    return Workers(args.jobs, args.scheduler)


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number of processes, 1 or more, found {text!r}"
        )
    return int(text)

"""Register photographs and write the results.

    python -m rkd_jax.register FIXED MOVING --out DIR [--weights NAME|FILE]

writes into DIR: `registered.png` (the moving image in the frame of the fixed one),
`overlay.png` (checkerboard of both), `matches.png`, `matches.csv`, `transform.json`,
with `--points FILE` the landmarks of the moving image mapped to the fixed one
(`points.csv`), with `--pictures NAMES` other pictures, and with `--export NAMES` the
transform for other programs. Many pairs at once:

    python -m rkd_jax.register PAIRS.csv --out DIR      (columns fixed, moving, name)
    python -m rkd_jax.register FOLDER --out DIR         (<name>_1 and <name>_2, ...;
                                                         or a folder for each pair)
    python -m rkd_jax.register FIXED_FOLDER MOVING_FOLDER --out DIR   (equal names)
    python -m rkd_jax.register FIXED MOVING_FOLDER --out DIR

write a folder for each pair and `pairs.csv`; pairs that are finished are skipped, so
that the same command goes on where it was stopped. Only files that an earlier run
wrote are replaced or deleted. Exit code 0: all registered; 3: a pair cannot be
registered (the reason is printed, and `matches.png` and `transform.json` show it); 2:
bad input; 130 and 143: stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rkd_jax.registration import arguments
from rkd_jax.runtime import workers
from rkd_jax.runtime.command import run, say, shown
from rkd_jax.runtime.compile_cache import add_option
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start
from rkd_jax.version import __version__

if TYPE_CHECKING:
    from rkd_jax.registration.recipe import Recipe


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.register",
        description="Register retinal photographs: MOVING onto FIXED, or many pairs.",
        epilog="Exit code 0: registered; 3: cannot be registered; 2: bad input; 130: "
        "stopped.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    arguments.add_pairs(parser)
    arguments.add_network(parser)
    arguments.add_fit(parser)
    arguments.add_results(parser)
    workers.add_options(parser)
    add_option(parser)
    return parser


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.registration import command
    from rkd_jax.registration.files.pair_lists import list_pairs

    out = pathlib.Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")

    def note(text: str) -> None:
        say(f"note: {shown(text)}", sys.stderr)

    def recipe() -> Recipe:
        """Say how, when all that can be refused before was not."""
        from rkd_jax.registration.recipe import Recipe

        return Recipe(
            args.weights,
            args.method,
            arguments.network_changes(args),
            arguments.method_of(args),
            args.one_camera,
            {"pictures": arguments.picture_options(args), "export": args.export},
            args.compilation_cache_dir,
        )

    pairs = list_pairs(args.fixed, args.moving, note)
    if pairs is None:
        return command.register_one(args, recipe)
    return command.register_many(args, pairs, recipe)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    prepare_start()
    keep_freed_memory()
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

"""Measure on a benchmark: predict, save, then score what was saved.

    python -m rkd_jax.evaluate fire --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate wflw --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate lesions --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate classification --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate multimodal --data_dir DIR --out DIR
    python -m rkd_jax.evaluate unrelated --photographs DIR... --out DIR
    python -m rkd_jax.evaluate ablation --data_dir DIR --weights NAME=FILE... --out DIR

write `predictions.npz`, and from that file alone `metrics.json` and `pairs.csv`
(`unrelated`: also `believed.csv` and a picture in `believed/` of each pair that was
reported as registered; `wflw`: `faces.csv`, the error curve and the faces with the
largest errors; `ablation`: a folder of these for each network and protocol, and
`ablation.csv`, `ablation.md`, `ablation.png`; `lesions`: maps instead of
`predictions.npz`, `rows.csv`, `photographs.csv` and two curves; `classification`:
`rows.csv`, `classes.csv`, `images.csv` and three pictures of each network). The same
command again goes on where it was stopped; predictions from other settings are refused
unless `--overwrite` is given. Exit code 0, or 2 for bad input; 130 after Ctrl-C.

`rkd_jax.evaluation.BENCHMARKS` lists the benchmarks; each is one file there.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence

from rkd_jax.evaluation import BENCHMARKS
from rkd_jax.runtime.command import run
from rkd_jax.runtime.compile_cache import add_option, keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start
from rkd_jax.version import __version__


def _parser(names: Iterable[str]) -> argparse.ArgumentParser:
    """Return the parser of some benchmarks."""
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.evaluate",
        description="Predict on a benchmark, save the predictions, score them.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    commands = parser.add_subparsers(dest="benchmark", required=True)
    for name in names:
        benchmark = importlib.import_module(BENCHMARKS[name])
        title = (benchmark.__doc__ or name).partition("\n")[0]
        command = commands.add_parser(name, help=title, description=title)
        benchmark.add_arguments(command)
        command.add_argument(
            "--out", required=True, metavar="DIR", help="folder to write"
        )
        command.add_argument(
            "--overwrite", action="store_true", help="replace predictions in --out"
        )
        add_option(command)
        command.set_defaults(run=benchmark.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    # One benchmark that cannot be imported leaves the others usable.
    chosen = [name for name in words[:1] if name in BENCHMARKS]
    args = _parser(chosen or BENCHMARKS).parse_args(words)
    prepare_start()
    keep_freed_memory()

    def action() -> int:
        keep_compiled(args.compilation_cache_dir)
        return args.run(args)

    return run(action)


if __name__ == "__main__":
    sys.exit(main())

"""Classify images: probabilities of classes, and how unusual an image is.

    python -m rkd_jax.classify PHOTOGRAPH --weights NAME|FILE --out FILE.csv
    python -m rkd_jax.classify FOLDER|CSV --weights NAME|FILE --out FILE.csv

write one row an image: the most probable class, the probability of each class, and the
distance to the training data (`distance_quantile`: the share of the validation images
that lie nearer; near 1 the image is of another kind, and what is said of its class
means nothing). The probability of the most probable class is calibrated, where the
weights have a temperature. Training weighs all classes alike, so the probability of a
rare class is higher than its frequency.

FOLDER: its own images, not those of folders in it. CSV: columns image and, if you like,
name. `--explain DIR` draws what in each image speaks for its class (Grad-CAM). Images
that the table has from the same weights are skipped. Only files that an earlier run
wrote are replaced. Exit code 0: done; 2: bad input, or an image cannot be read; 130 and
143: stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from rkd_jax.runtime import workers
from rkd_jax.runtime.command import run
from rkd_jax.runtime.compile_cache import add_option
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start
from rkd_jax.version import __version__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.classify",
        description="Give images probabilities of classes.",
        epilog="Exit code 0: done; 2: bad input; 130: stopped.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    parser.add_argument(
        "photographs",
        metavar="PHOTOGRAPH|FOLDER|CSV",
        help="an image, a folder of images, or a CSV file with a column image",
    )
    parser.add_argument(
        "--weights",
        required=True,
        metavar="NAME|FILE",
        help="weights that come with the package, by name, or a file",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE.csv", help="table to write"
    )
    parser.add_argument(
        "--explain",
        metavar="DIR",
        help="draw what in each image speaks for its class, into this folder",
    )
    parser.add_argument(
        "--json", action="store_true", help="print each row as one line of JSON"
    )
    workers.add_options(parser, "image")
    add_option(parser)
    return parser


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.classification.command import classify_all
    from rkd_jax.classification.runner import Recipe
    from rkd_jax.images.photograph_lists import list_inputs

    recipe = Recipe(
        args.weights,
        explain=pathlib.Path(args.explain) if args.explain else None,
        cache=args.compilation_cache_dir,
    )
    return classify_all(
        recipe,
        list_inputs(args.photographs),
        pathlib.Path(args.out),
        workers=workers.workers_of(args),
        as_json=args.json,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    prepare_start()
    keep_freed_memory()
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

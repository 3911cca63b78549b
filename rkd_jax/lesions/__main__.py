"""Find lesions in photographs of the eye and write maps, masks and lists.

    python -m rkd_jax.lesions PHOTOGRAPH --out DIR [--weights NAME|FILE]
    python -m rkd_jax.lesions FOLDER|CSV --out DIR     (CSV: columns image and name)

writes `probability.png` (16 bits; value / 65535), with `--float` `probability.tif`,
`mask.png`, `lesions.csv`, `overlay.png` and `summary.json` into DIR; of many
photographs into a folder for each, and `photographs.csv`. Photographs that are finished
with the same settings are skipped. Only files that an earlier run wrote are replaced or
deleted. Exit code 0: all done; 3: an image is no photograph of a fundus; 2: bad input,
or one cannot be read; 130 and 143: stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Sequence

from rkd_jax.lesions.choice import DEFAULT, choose_weights
from rkd_jax.runtime import workers
from rkd_jax.runtime.command import run
from rkd_jax.runtime.compile_cache import add_option
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start
from rkd_jax.version import __version__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.lesions",
        description="Find lesions in photographs of the eye.",
        epilog="Exit code 0: done; 3: no photograph of a fundus; 2: bad input; 130: "
        "stopped.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    parser.add_argument(
        "photographs",
        metavar="PHOTOGRAPH|FOLDER|CSV",
        help="an image, a folder of images, or a CSV file with a column image",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights that come with the package, by name, or a file (default: those "
        "named as the lesion)",
    )
    parser.add_argument(
        "--lesion", metavar="NAME", help=f"what to find (default: {DEFAULT})"
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="pixels of at least this probability are in the mask (default: the "
        "weights' own)",
    )
    parser.add_argument(
        "--um_per_px",
        type=float,
        metavar="V",
        help="side of a pixel of the file on the retina, in micrometers, for areas",
    )
    parser.add_argument(
        "--float", action="store_true", help="write the map as 32-bit TIFF, too"
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PX",
        help="work in tiles of this side, a multiple of 16: smaller ones take less "
        "memory and more time",
    )
    parser.add_argument(
        "--json", action="store_true", help="print each result as one line of JSON"
    )
    workers.add_options(parser, "photograph")
    add_option(parser)
    return parser


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.images.photograph_lists import list_inputs
    from rkd_jax.lesions import outputs
    from rkd_jax.lesions.command import find_all
    from rkd_jax.lesions.runner import Recipe
    from rkd_jax.lesions.settings import check_numbers

    check_numbers(args.threshold, args.um_per_px, args.tile)
    photographs = list_inputs(args.photographs, taken=[outputs.TABLE])
    recipe = Recipe(
        args.weights or choose_weights(args.lesion or DEFAULT),
        threshold=args.threshold,
        um_per_px=args.um_per_px,
        as_float=args.float,
        tile=args.tile,
        cache=args.compilation_cache_dir,
    )
    return find_all(
        recipe,
        photographs,
        pathlib.Path(args.out),
        lesion=args.lesion,
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

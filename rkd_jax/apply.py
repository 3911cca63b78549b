"""Apply a transform that `register` wrote to further images and points.

    python -m rkd_jax.apply TRANSFORM IMAGE --out FILE|DIR
    python -m rkd_jax.apply TRANSFORM FOLDER --out DIR

draw other images of the moving photograph (channels, masks, annotations) in the frame
of the fixed one; with `--inverse` those of the fixed photograph in the moving frame.
TRANSFORM is a `transform.json` or the folder that holds it. The numbers keep their
kind and range; images with a palette or of one bit are drawn by the nearest pixel.

`--points FILE` maps landmarks (`points.csv`), `--export NAMES` writes the transform for
other programs; IMAGE may be left out then. Only files that an earlier run wrote are
replaced. Exit code 0: done; 2: bad input, or an image of a folder could not be drawn;
3: the pair is not registered; 130 and 143: stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rkd_jax.registration import arguments
from rkd_jax.runtime.command import run
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.process import prepare_start
from rkd_jax.version import __version__


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.apply",
        description="Apply a transform of `register` to images and points.",
        epilog="Exit code 0: done; 3: the pair is not registered; 2: bad input; 130: "
        "stopped.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    parser.add_argument(
        "transform", metavar="TRANSFORM", help="transform.json, or its folder"
    )
    parser.add_argument(
        "image",
        metavar="IMAGE",
        nargs="?",
        help="image of the moving photograph's size, or a folder of such",
    )
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE|DIR",
        help="file (.png, .tif, .jpg; .csv of points) or folder to write",
    )
    parser.add_argument(
        "--points", metavar="FILE", help="landmarks x,y of the moving photograph to map"
    )
    parser.add_argument(
        "--inverse",
        action="store_true",
        help="the other way: IMAGE and points are of the fixed photograph",
    )
    parser.add_argument(
        "--interpolation",
        choices=("linear", "nearest", "cubic"),
        default="linear",
        help="between pixels (default: linear); nearest for masks and labels",
    )
    parser.add_argument(
        "--fill",
        type=float,
        default=0.0,
        metavar="NUMBER",
        help="value of the pixels that IMAGE does not reach (default: 0)",
    )
    arguments.add_export(parser)
    parser.add_argument(
        "--even_if_refused",
        action="store_true",
        help="apply the transform of a pair that is not registered, at your own risk",
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.registration.apply_command import apply

    return apply(args)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    prepare_start()
    keep_freed_memory()
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

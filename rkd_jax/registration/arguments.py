"""Arguments that the commands share: which keypoints, and how a transform is fitted."""

import argparse
from typing import Any

from rkd_jax.registration import pictures
from rkd_jax.registration.export_formats import FORMATS
from rkd_jax.registration.families import CHOICES
from rkd_jax.weights import packaged

# How a pair is registered: arguments of `add_fit` and of `matcher.register`.
METHOD = ("transform", "estimator", "guided", "two_pass")


def add_pairs(parser: argparse.ArgumentParser) -> None:
    """Declare the photographs of the `register` command."""
    parser.add_argument(
        "fixed",
        metavar="FIXED",
        help="image whose frame is kept; or a folder; or a CSV file of pairs",
    )
    parser.add_argument(
        "moving",
        metavar="MOVING",
        nargs="?",
        help="image to bring onto it, or a folder of such",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")


def add_results(parser: argparse.ArgumentParser) -> None:
    """Declare what the `register` command writes and prints."""
    parser.add_argument(
        "--one_camera",
        action="store_true",
        help="one camera took all pairs: share its curvature (registers twice)",
    )
    parser.add_argument(
        "--points", metavar="FILE", help="landmarks x,y of MOVING to map to FIXED"
    )
    parser.add_argument(
        "--pictures",
        type=_pictures,
        default=pictures.DEFAULT,
        metavar="NAMES",
        help=f"which to write: of {', '.join(pictures.PICTURES)}, with commas between "
        f"them; or all, or none (default: {','.join(pictures.DEFAULT)})",
    )
    parser.add_argument(
        "--no-pictures",
        dest="pictures",
        action="store_const",
        const=(),
        help="write none",
    )
    parser.add_argument(
        "--format",
        choices=pictures.FORMATS,
        default="png",
        help="of pictures (default: png); tiff keeps the values of the file, jpg has 8 "
        "bits",
    )
    add_export(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="print each result as one line of JSON, without the map of the error",
    )


def picture_options(args: argparse.Namespace) -> pictures.PictureOptions:
    """Return which pictures the arguments of `add_results` ask for."""
    return pictures.PictureOptions(args.pictures, args.format)


def _pictures(text: str) -> tuple[str, ...]:
    try:
        return pictures.parse_names(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_export(parser: argparse.ArgumentParser) -> None:
    """Declare the formats of other programs: `export`, a tuple of names."""
    parser.add_argument(
        "--export",
        type=_formats,
        default=(),
        metavar="NAMES",
        help="write the transform for other programs, too, separated by commas: "
        f"{', '.join(FORMATS)}",
    )


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(
                f"expected names of {', '.join(FORMATS)}, separated by commas, found "
                f"{name!r}"
            )
    return names


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare which keypoints: `weights`, `method`, and how they are found."""
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights that come with the package, by name "
        f"({', '.join(packaged.names())}), the first by default; or a file",
    )
    parser.add_argument(
        "--method",
        choices=("network", "sift"),
        default="network",
        help="keypoints of the network (default) or of OpenCV's SIFT",
    )
    parser.add_argument(
        "--working_size",
        type=working_size,
        metavar="PX",
        help="the longer side is brought to this (default: the weights' own size)",
    )
    parser.add_argument(
        "--tile",
        type=_tile,
        metavar="PX",
        help="run the network in tiles of this side, a multiple of 16, so that a large "
        "--working_size fits into memory; not with instance norm",
    )
    parser.add_argument(
        "--align",
        action=argparse.BooleanOptionalAction,
        help="move matches to where the images around them agree (default: with "
        "guided matching)",
    )
    parser.add_argument(
        "--search",
        action=argparse.BooleanOptionalAction,
        help="try other turns and scales where a pair is not registered as it was "
        "taken (default: yes)",
    )


def working_size(text: str) -> int:
    """Read a working size: the `type` of an option.

    Raises:
        argparse.ArgumentTypeError: not a whole number of at least 32.
    """
    if not text.isdecimal() or int(text) < 32:
        raise argparse.ArgumentTypeError(
            f"expected pixels, a whole number of at least 32, found {text!r}"
        )
    return int(text)


def _tile(text: str) -> int:
    if not text.isdecimal() or int(text) < 16 or int(text) % 16:
        raise argparse.ArgumentTypeError(
            f"expected pixels, a positive multiple of 16, found {text!r}"
        )
    return int(text)


def network_changes(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields of `MatcherOptions` that `add_network`'s arguments change.

    Raises:
        ValueError: `--tile` for a method that runs no network.

    >>> parser = argparse.ArgumentParser()
    >>> add_network(parser)
    >>> network_changes(parser.parse_args(["--working_size", "1536"]))
    {'working_size': 1536}
    """
    if args.tile is not None and args.method != "network":
        raise ValueError(
            f"--tile {args.tile}: expected --method network, found {args.method}, "
            "which runs no network; drop one of the two"
        )
    names = ("working_size", "tile", "align", "search")
    given = {name: getattr(args, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def add_fit(parser: argparse.ArgumentParser) -> None:
    """Declare how it is fitted: `transform`, `estimator`, `guided`, `two_pass`."""
    parser.add_argument(
        "--transform",
        choices=CHOICES,
        default="auto",
        help="family of transforms (default: auto, by held-out matches)",
    )
    parser.add_argument(
        "--estimator",
        choices=("magsac", "lmeds"),
        default="magsac",
        help="robust estimator (default: magsac; the papers use lmeds)",
    )
    parser.add_argument(
        "--guided",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="look for more matches near where a first fit expects them",
    )
    parser.add_argument(
        "--two_pass", action="store_true", help="warp, detect and match once more"
    )


def method_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return how the arguments of `add_fit` say that a pair is registered.

    >>> parser = argparse.ArgumentParser()
    >>> add_fit(parser)
    >>> method_of(parser.parse_args(["--transform", "radial"]))["transform"]
    'radial'
    """
    return {name: getattr(args, name) for name in METHOD}

"""Arguments that the commands share: which keypoints, and how a transform is fitted."""

import argparse
import pathlib
from typing import Any

# Equal to `fit.CHOICES`, which is not imported so that --help needs no JAX.
FAMILIES = (
    *("auto", "homography", "radial", "quadratic", "radial_quadratic"),
    "thin_plate",
)


def add_network(parser: argparse.ArgumentParser) -> None:
    """Declare which keypoints: `weights`, `method`, and how they are found."""
    parser.add_argument(
        "--weights",
        metavar="NAME|FILE",
        help="weights that come with the package, by name "
        f"({', '.join(packaged_weights())}), or a .safetensors file",
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


def packaged_weights() -> list[str]:
    """Return the names of the weights that come with the package, the default first.

    As `weights.find` knows them, without JAX.

    >>> packaged_weights()[0]
    'default'
    """
    folder = pathlib.Path(__file__).parents[1] / "pretrained"
    names = (path.stem for path in folder.glob("*.safetensors"))
    return sorted(names, key=lambda name: (name != "default", name))


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
        choices=FAMILIES,
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

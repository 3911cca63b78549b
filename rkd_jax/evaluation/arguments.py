"""Arguments that benchmarks share, and the matcher that some describe."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from rkd_jax.files.tables import read_table
from rkd_jax.registration import arguments

if TYPE_CHECKING:
    from rkd_jax.registration.matcher import Matcher


def add_registration(parser: argparse.ArgumentParser) -> None:
    """Declare which keypoints, how they are found, and how a transform is fitted."""
    arguments.add_network(parser)
    parser.add_argument(
        "--options",
        choices=("default", "paper"),
        default="default",
        help="detection and matching: ours, or as in the FIRE papers",
    )
    parser.add_argument(
        "--truncate_points",
        action="store_true",
        help="drop the fraction of keypoints in file pixels, as upstream does",
    )
    parser.add_argument(
        "--points",
        choices=("detector", "detector+dog"),
        help="where a network's descriptors are read (default: detector+dog; with "
        "--options paper: detector)",
    )
    arguments.add_fit(parser)
    parser.add_argument(
        "--camera",
        choices=("each", "shared"),
        default="each",
        help="each: nothing is known of the camera of a pair (default); shared: one "
        "took all pairs, whose curvature comes from the matches of all of them",
    )


def load_matcher(args: argparse.Namespace) -> Matcher:
    """Build the matcher that the arguments of `add_registration` describe."""
    from rkd_jax.registration import matcher
    from rkd_jax.registration.options import MatcherOptions

    options = MatcherOptions.paper() if args.options == "paper" else None
    changes = arguments.network_changes(args)
    changes["truncate_points"] = args.truncate_points
    if args.points is not None:
        changes["points"] = args.points
    return matcher.load_matcher(
        args.weights, method=args.method, options=options, **changes
    )


def add_folder(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare `--data_dir`, and `--pairs`, which names the pairs to take of it."""
    parser.add_argument("--data_dir", required=True, metavar="DIR", help=what)
    parser.add_argument(
        "--pairs", metavar="FILE", help="text file with the pairs to take, one a line"
    )


def read_names(path: str | None, option: str = "--pairs") -> list[str] | None:
    """Read names of pairs or photographs, one a line; "#" starts a comment.

    Args:
        path: the file; None takes all.
        option: that gave it, for the error.

    Raises:
        FileNotFoundError: no such file.
    """
    if path is None:
        return None
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; check {option}")
    names = [row.cells[0].split("#")[0].strip() for row in read_table(file).rows]
    return [name for name in names if name]


def parse_weights(
    texts: Sequence[str], *, taken: Collection[str] = ()
) -> dict[str, str]:
    """Read NAME=FILE arguments.

    Args:
        texts: the arguments.
        taken: names that mean something else.

    Raises:
        ValueError: no "=", an empty part or a name given twice.

    Example:
        >>> parse_weights(["unet=a.safetensors"])
        {'unet': 'a.safetensors'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, file = text.partition("=")
        if not name or not file or not name.replace("_", "").isalnum():
            raise ValueError(
                f"--weights {text}: expected NAME=FILE, NAME of letters, digits and _"
            )
        if name in found or name in taken:
            raise ValueError(f"--weights {text}: the name {name!r} is taken")
        found[name] = file
    return found

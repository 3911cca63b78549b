"""Every network on FIRE, by the papers' protocol and by ours.

Reads FIRE (`rkd_jax.evaluation.fire`); writes a folder for each network and protocol,
and all scores in one table, beside those that the paper printed
(`rkd_jax.evaluation.published`).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import pathlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax.data.fire import load_control_points
from rkd_jax.evaluation import ablation_table, pairs, predictions
from rkd_jax.evaluation.arguments import parse_weights
from rkd_jax.evaluation.fire import list_pairs
from rkd_jax.evaluation.published import PAPER
from rkd_jax.files import own_files
from rkd_jax.runtime.command import say

if TYPE_CHECKING:
    from rkd_jax.registration.options import MatcherOptions

_NO_NETWORK = ("sift", "superpoint")  # rows of the paper


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to register all pairs.

    Attributes:
        name: of its column.
        paper: whether detection and matching are those of the papers.
        method: how `matcher.register` is called.
    """

    name: str
    paper: bool
    method: Mapping[str, Any]

    def options(self) -> MatcherOptions | None:
        """Return the matcher's options; None for those that suit it."""
        from rkd_jax.registration.options import MatcherOptions

        return MatcherOptions.paper() if self.paper else None


_FIT_OF_PAPERS = {"transform": "homography", "estimator": "lmeds"}
_FIT_OF_OURS = {"transform": "auto", "estimator": "magsac"}
PROTOCOLS = (
    Protocol("paper", True, {**_FIT_OF_PAPERS, "guided": False, "two_pass": True}),
    Protocol("ours", False, {**_FIT_OF_OURS, "guided": True, "two_pass": False}),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m rkd_jax.evaluate ablation`."""
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="FIRE folder")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=[],
        metavar="NAME=FILE",
        help="networks; a NAME of the paper's rows gets the paper's numbers beside it "
        f"({', '.join(name for name in PAPER if name not in _NO_NETWORK)})",
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "NAME"),
        help="difference of two networks with its interval (default: all pairs)",
    )


def run(args: argparse.Namespace) -> int:
    """Run SIFT and every network by both protocols; write and print one table."""
    from rkd_jax import weights
    from rkd_jax.registration.matcher import load_matcher

    files = parse_weights(args.weights, taken=["sift"])
    for file in files.values():
        weights.find(file)
    names = ["sift", *files]
    compared = args.compare or list(itertools.combinations(names, 2))
    for name in itertools.chain.from_iterable(compared):
        if name not in names:
            raise ValueError(f"--compare {name}: expected one of {names}")
    chosen = list_pairs(args.data_dir)
    out = pathlib.Path(args.out)
    claim(out, names, inputs=files.values())
    rows, runs, digests = [], {}, {}
    for name, protocol in itertools.product(names, PROTOCOLS):
        method = "sift" if name == "sift" else "network"
        matcher = load_matcher(
            files.get(name), method=method, options=protocol.options()
        )
        settings = {**matcher.settings(), **protocol.method, "camera": "each"}
        digests[name] = settings.get("weights_sha256")
        say(f"{name}, {protocol.name} protocol", sys.stderr)
        folder = out / name / protocol.name
        _, found = pairs.predict(
            chosen,
            matcher,
            folder,
            settings,
            load_control_points,
            overwrite=args.overwrite,
        )
        runs[name, protocol.name] = found
        rows.append(ablation_table.table_row(name, protocol.name, found))
    differences = [
        ablation_table.comparison(
            (first, second),
            protocol.name,
            (runs[first, protocol.name], runs[second, protocol.name]),
        )
        for (first, second), protocol in itertools.product(compared, PROTOCOLS)
    ]
    source = ablation_table.source_text(files, digests, args.compare)
    text = ablation_table.write(out, rows, differences, source=source)
    say(f"{text}written to {out}")
    return 0


def claim(out: pathlib.Path, networks: Iterable[str], *, inputs: Iterable[str]) -> None:
    """Refuse a folder where the ablation would replace files of others.

    Args:
        out: folder of the run.
        networks: names; each has a folder for each protocol.
        inputs: files that the run reads.

    Raises:
        OSError, ValueError: see `rkd_jax.evaluation.predictions.claim`.
    """
    inputs = list(inputs)
    own_files.claim([out / name for name in ablation_table.FILES], inputs=inputs)
    for network in networks:
        for protocol in PROTOCOLS:
            predictions.claim(out / network / protocol.name, inputs=inputs)

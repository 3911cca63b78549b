"""Register photographs of one eye that are hard to register, and count by cause.

    python tools/hard_visits.py --photographs DIR... [--count 200] [--weights NAME|FILE]

prints, for each cause of `made_visits.CAUSES`, how many pairs were accepted, how many
of these are right (mean error of the landmarks at most 5 px of a 768-pixel image), and
how many were refused although the transform is right.
"""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Sequence

import made_visits
import numpy as np

from rkd_jax.registration import arguments
from rkd_jax.registration.matcher import load_matcher

RIGHT_PX = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", nargs="+", required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    arguments.add_network(parser)
    args = parser.parse_args(argv)
    changes = arguments.network_changes(args)
    matcher = load_matcher(args.weights, method=args.method, **changes)
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for number, path, cause, seed in made_visits.made(
        args.photographs, args.count, args.seed
    ):
        pair = made_visits.second_visit(path, seed, cause=cause)
        found = matcher.register(pair.fixed, pair.moving)
        error = np.inf
        if found.transform is not None and len(pair.points):
            away = found.transform.apply(pair.points[:, 2:]) - pair.points[:, :2]
            error = np.linalg.norm(away, axis=1).mean() * 768 / max(found.fixed_size)
        right = "right" if error <= RIGHT_PX else "wrong"
        counts[cause, f"{'accepted' if found.ok else 'refused'} {right}"] += 1
        if not found.ok and right == "right":
            print(f"{number} {cause}: refused, off by {error:.2f}: {found.reason}")
        if found.ok and right == "wrong":
            print(
                f"{number} {cause}: accepted ({found.confidence:.2f}), {error:.2f} px"
            )
    kinds = [f"{a} {b}" for a in ("accepted", "refused") for b in ("right", "wrong")]
    print(f"| cause | {' | '.join(kinds)} |\n|---|---|---|---|---|")
    for cause in made_visits.CAUSES:
        print(f"| {cause} | {' | '.join(str(counts[cause, kind]) for kind in kinds)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Register photographs that are turned, or whose field is wider, and unrelated ones.

    python tools/turned_and_wide.py --photographs DIR... [--weights NAME|FILE]
    python tools/turned_and_wide.py --photographs DIR... --unrelated 200

The first prints, for every turn and every width of the field, how many of the
photographs are registered with a second view of themselves (`made_pairs.turned`) and
with what error; the second registers pairs of different eyes, each turned and scaled at
random, none of which may be accepted. `--no-search` shows what the first attempt alone
does, `--method sift` SIFT.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time
from collections.abc import Sequence

import made_pairs
import numpy as np

import rkd_jax
from rkd_jax.evaluation import unrelated as unrelated_benchmark
from rkd_jax.registration import arguments
from rkd_jax.registration.matcher import Matcher

TURNS_DEG = (0.0, 30.0, 45.0, 60.0, 90.0, 135.0, 180.0)
FIELDS = (1.5, 2.0, 3.0, 4.0, 5.0)


def _chosen(folders: Sequence[str], count: int) -> list[pathlib.Path]:
    """Return photographs of each folder, evenly picked."""
    chosen = []
    for folder in folders:
        paths = made_pairs.photographs([folder])
        places = np.linspace(0, len(paths) - 1, count + 2).astype(int)[1:-1]
        chosen += [paths[place] for place in places]
    return chosen


def _error_px(result: rkd_jax.Registration, points: np.ndarray) -> float:
    """Return the mean distance of mapped landmarks in pixels of the fixed image."""
    mapped = result.warp_points(points[:, 2:])
    return float(np.linalg.norm(mapped - points[:, :2], axis=1).mean())


def registrable(matcher: Matcher, paths: Sequence[pathlib.Path]) -> None:
    """Print a row for every turn and every field."""
    print("| moving photograph | registered | mean error, px | worst | seconds |")
    print("|---|---|---|---|---|")
    cases = [(turn, 1.0) for turn in TURNS_DEG] + [(0.0, field) for field in FIELDS]
    for turn, field in cases:
        errors, seconds, reasons = [], [], []
        for seed, path in enumerate(paths):
            pair = made_pairs.turned(path, seed, turn_deg=turn, field=field)
            # Either photograph may be the one with the wider field.
            sides = [pair.fixed, pair.moving][:: 1 if seed % 2 else -1]
            points = pair.points if seed % 2 else pair.points[:, [2, 3, 0, 1]]
            start = time.perf_counter()
            result = matcher.register(*sides)
            seconds.append(time.perf_counter() - start)
            if result.ok:
                errors.append(_error_px(result, points))
            else:
                reasons.append(f"{pair.name}: {result.reason}")
        shown = f"{np.mean(errors):.2f} | {max(errors):.2f}" if errors else "| "
        print(
            f"| turned by {turn:g} degrees, field x{field:g} | {len(errors)} of "
            f"{len(paths)} | {shown} | {np.median(seconds):.1f} |",
            flush=True,
        )
        for reason in reasons:
            print(f"  {reason}", file=sys.stderr)


def unrelated(matcher: Matcher, folders: Sequence[str], count: int, seed: int) -> int:
    """Print which pairs of different eyes are accepted; return how many."""
    paths = made_pairs.photographs(folders)
    pairs = unrelated_benchmark.list_pairs(paths, count, seed=seed)
    rng = np.random.default_rng(seed)
    accepted, highest = 0, 0.0
    for number, pair in enumerate(pairs):
        turn, field = rng.uniform(0, 360), float(np.exp(rng.uniform(0, np.log(5))))
        fixed = made_pairs.turned(pair.fixed, number).fixed
        moving = made_pairs.turned(pair.moving, number, turn_deg=turn, field=field)
        sides = [fixed, moving.moving][:: 1 if number % 2 else -1]
        result = matcher.register(*sides)
        accepted += result.ok
        highest = max(highest, result.confidence)
        if result.ok:
            print(f"accepted: {pair.name}, confidence {result.confidence:.2f}")
    print(f"{accepted} of {count} accepted; highest confidence {highest:.3f}")
    return accepted


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 if a pair of different eyes is accepted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", nargs="+", required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=2, help="of each folder")
    parser.add_argument("--unrelated", type=int, metavar="N", help="pairs instead")
    parser.add_argument("--seed", type=int, default=0)
    arguments.add_network(parser)
    args = parser.parse_args(argv)
    changes = arguments.network_changes(args)
    matcher = rkd_jax.load_matcher(args.weights, method=args.method, **changes)
    if args.unrelated:
        return int(unrelated(matcher, args.photographs, args.unrelated, args.seed) > 0)
    registrable(matcher, _chosen(args.photographs, args.count))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What `python -m rkd_jax.register` does: one pair or many, printed and written."""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rkd_jax.registration.files.claims import claim_many, claim_one
from rkd_jax.registration.files.landmarks import read_points
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.command import BAD_INPUT, say, shown, stop_status

if TYPE_CHECKING:
    from rkd_jax.registration.batch import Result, Work

OK, NOT_REGISTERED = 0, 3


def register_one(args: argparse.Namespace, work: Callable[[], Work]) -> int:
    """Register one pair.

    Args:
        args: of `rkd_jax.register`.
        work: loads the matcher; called once nothing more can be refused.

    Returns:
        The exit status.
    """
    if args.one_camera:
        raise ValueError("--one_camera: there is one pair only; give a folder or a CSV")
    out, names = pathlib.Path(args.out), (str(args.fixed), str(args.moving))
    inputs = [name for name in (*names, args.points, args.weights) if name]
    points = None if args.points is None else read_points(args.points)
    claim_one(
        out,
        inputs,
        pictures=args.pictures,
        points=points is not None,
        export=args.export,
    )
    from rkd_jax.registration import batch

    summary = batch.register_files(
        work(), names, out, points=points, points_name=args.points or ""
    )
    say(json.dumps(summary) if args.json else _report(summary, args.out))
    return OK if summary["ok"] else NOT_REGISTERED


def register_many(
    args: argparse.Namespace, pairs: Sequence[Pair], work: Callable[[], Work]
) -> int:
    """Register all pairs that are not finished; go on past one that cannot be read.

    Args:
        args: of `rkd_jax.register`.
        pairs: that the arguments name.
        work: see `register_one`.

    Returns:
        The exit status.
    """
    if args.points is not None:
        raise ValueError("--points: landmarks are of one pair; drop it for many pairs")
    out = pathlib.Path(args.out)
    inputs = [args.fixed, *([args.weights] if args.weights else [])]
    how = {"pictures": args.pictures, "one_camera": args.one_camera}
    claim_many(out, pairs, inputs, **how, export=args.export)
    from rkd_jax.registration import batch

    results, stop = [], None
    try:
        for result in batch.register_all(
            work(), pairs, out, one_camera=args.one_camera
        ):
            results.append(result)
            _say_result(result, as_json=args.json)
    except KeyboardInterrupt as caught:
        stop = caught
    done = sum(
        result.summary is not None and result.summary["ok"] for result in results
    )
    counted = f"{done} of {len(pairs)} pairs registered"
    if results:
        batch.write_table(out, results)
        counted += f", see {shown(out)}/pairs.csv"
    if stop is not None:
        left = len(pairs) - len(results)
        say(f"stopped before {left} pairs; start again to go on; {counted}", sys.stderr)
        return stop_status(stop)
    say(counted, sys.stderr)
    if any(result.summary is None for result in results):
        return BAD_INPUT
    return OK if done == len(results) else NOT_REGISTERED


def _report(summary: dict[str, Any], out: str) -> str:
    """Return the result as lines for a reader."""
    counts = f"{summary['inliers']} of {summary['matches']} matches are inliers"
    if not summary["ok"]:
        return f"not registered: {summary['reason']} ({counts})"
    return (
        f"registered: {summary['transform']['family']}, {counts}, confidence "
        f"{summary['confidence']:.2f}\nwritten to {shown(out)}"
    )


def _say_result(result: Result, *, as_json: bool) -> None:
    """Print the line of one pair of many."""
    name, summary = shown(result.name), result.summary
    if summary is None:
        say(f"error: {name}: {result.error}", sys.stderr)
    elif as_json:
        say(json.dumps(summary))
    else:
        say(f"{name}: {_report(summary, '').splitlines()[0]}")

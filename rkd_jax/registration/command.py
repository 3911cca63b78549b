"""What `python -m rkd_jax.register` does: one pair or many, printed and written."""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rkd_jax.registration.arguments import picture_options
from rkd_jax.registration.files.claims import claim_many, claim_one
from rkd_jax.registration.files.landmarks import read_points
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.command import BAD_INPUT, say, shown, stop_status
from rkd_jax.runtime.many import bar_aside, progress, say_note
from rkd_jax.runtime.workers import workers_of

if TYPE_CHECKING:
    from rkd_jax.registration.recipe import Recipe
    from rkd_jax.registration.table import Result

OK, NOT_REGISTERED = 0, 3


def register_one(args: argparse.Namespace, recipe: Callable[[], Recipe]) -> int:
    """Register one pair.

    Args:
        args: of `rkd_jax.register`.
        recipe: how; called once nothing more can be refused without the network.

    Returns:
        The exit status.
    """
    if args.one_camera:
        raise ValueError("--one_camera: there is one pair only; give a folder or a CSV")
    if flag := workers_of(args).flag:
        raise ValueError(f"{flag}: there is one pair only; give a folder or a CSV")
    out, names = pathlib.Path(args.out), (str(args.fixed), str(args.moving))
    inputs = [name for name in (*names, args.points, args.weights) if name]
    points = None if args.points is None else read_points(args.points)
    claim_one(
        out,
        inputs,
        pictures=picture_options(args),
        points=points is not None,
        export=args.export,
    )
    from rkd_jax.registration import batch

    summary = batch.register_files(
        recipe().work(), names, out, points=points, points_name=args.points or ""
    )
    say(_line(summary) if args.json else _report(summary, args.out))
    return OK if summary["ok"] else NOT_REGISTERED


def register_many(
    args: argparse.Namespace, pairs: Sequence[Pair], recipe: Callable[[], Recipe]
) -> int:
    """Register all pairs that are not finished; go on past one that cannot be read.

    Args:
        args: of `rkd_jax.register`.
        pairs: that the arguments name.
        recipe: see `register_one`.

    Returns:
        The exit status.
    """
    if args.points is not None:
        raise ValueError("--points: landmarks are of one pair; drop it for many pairs")
    out = pathlib.Path(args.out)
    inputs = [args.fixed, *([args.weights] if args.weights else [])]
    how = {"pictures": picture_options(args), "one_camera": args.one_camera}
    claim_many(out, pairs, inputs, **how, export=args.export)
    from rkd_jax.registration.all_pairs import register_all
    from rkd_jax.registration.table import writing_table

    done = registered = failed = 0
    stop = None
    with (
        writing_table(out) as add,
        contextlib.closing(
            register_all(recipe(), pairs, out, workers=workers_of(args), note=say_note)
        ) as results,
    ):
        try:
            for result in progress(results, "pair", len(pairs)):
                add(result)
                done += 1
                registered += result.ok
                failed += result.summary is None
                _say_result(result, as_json=args.json)
        except KeyboardInterrupt as caught:
            stop = caught
    counted = f"{registered} of {len(pairs)} pairs registered"
    if done:
        counted += f", see {shown(out)}/pairs.csv"
    if stop is not None:
        left = len(pairs) - done
        say(f"stopped before {left} pairs; start again to go on; {counted}", sys.stderr)
        return stop_status(stop)
    say(counted, sys.stderr)
    if failed:
        return BAD_INPUT
    return OK if registered == done else NOT_REGISTERED


def _line(summary: dict[str, Any]) -> str:
    """Return the result as one line of JSON, without the map of the expected error.

    The map is tens of kilobytes of it; `transform.json` has it.
    """
    if errors := summary.get("expected_error"):
        kept = {name: value for name, value in errors.items() if name != "map"}
        summary = {**summary, "expected_error": kept}
    return json.dumps(summary)


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
    name, summary = shown(result.pair.name), result.summary
    with bar_aside():
        if summary is None:
            say(f"error: {name}: {result.error}", sys.stderr)
        elif as_json:
            say(_line(summary))
        else:
            say(f"{name}: {_report(summary, '').splitlines()[0]}")

"""Register photographs and write the results.

    python -m rkd_jax.register FIXED MOVING --out DIR [--weights NAME|FILE]

writes into DIR: `registered.png` (the moving image in the frame of the fixed one),
`overlay.png` (checkerboard of both), `matches.png`, `transform.json`, and with
`--points FILE` the landmarks of the moving image mapped to the fixed one
(`points.csv`). Many pairs at once:

    python -m rkd_jax.register PAIRS.csv --out DIR      (columns fixed, moving, name)
    python -m rkd_jax.register FOLDER --out DIR         (<name>_1 and <name>_2, ...;
                                                         or a folder for each pair)
    python -m rkd_jax.register FIXED_FOLDER MOVING_FOLDER --out DIR   (equal names)
    python -m rkd_jax.register FIXED MOVING_FOLDER --out DIR

write a folder for each pair and `pairs.csv`; pairs that are finished are skipped, so
that the same command goes on where it was stopped. Only files that an earlier run
wrote are replaced or deleted. Exit code 0: all registered; 3: a pair cannot be
registered (the reason is printed, and `matches.png` and `transform.json` show it); 2:
bad input; 130 and 143: stopped by Ctrl-C or SIGTERM.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from rkd_jax.registration import arguments
from rkd_jax.runtime.command import BAD_INPUT, run, say, shown, stop_status
from rkd_jax.runtime.compile_cache import add_option, keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.start import prepare_start
from rkd_jax.version import __version__

OK, NOT_REGISTERED = 0, 3
_METHOD = ("transform", "estimator", "guided", "two_pass")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.register",
        description="Register retinal photographs: MOVING onto FIXED, or many pairs.",
        epilog="Exit code 0: registered; 3: cannot be registered; 2: bad input; 130: "
        "stopped.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
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
    arguments.add_network(parser)
    arguments.add_fit(parser)
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
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write registered.png, overlay.png and matches.png",
    )
    parser.add_argument(
        "--json", action="store_true", help="print each result as one line of JSON"
    )
    add_option(parser)
    return parser


def _report(summary: dict[str, Any], out: str) -> str:
    """Return the result as lines for a reader."""
    counts = f"{summary['inliers']} of {summary['matches']} matches are inliers"
    if not summary["ok"]:
        return f"not registered: {summary['reason']} ({counts})"
    return (
        f"registered: {summary['transform']['family']}, {counts}, confidence "
        f"{summary['confidence']:.2f}\nwritten to {shown(out)}"
    )


def _single(args: argparse.Namespace, work: Callable[[], Any]) -> int:
    """Register one pair."""
    from rkd_jax.registration import batch
    from rkd_jax.registration.files.landmarks import read_points

    if args.one_camera:
        raise ValueError("--one_camera: there is one pair only; give a folder or a CSV")
    out, names = pathlib.Path(args.out), (str(args.fixed), str(args.moving))
    inputs = [name for name in (*names, args.points, args.weights) if name]
    points = None if args.points is None else read_points(args.points)
    batch.claim_one(out, inputs, pictures=args.pictures, points=points is not None)
    summary = batch.register_files(
        work(), names, out, points=points, points_name=args.points or ""
    )
    say(json.dumps(summary) if args.json else _report(summary, args.out))
    return OK if summary["ok"] else NOT_REGISTERED


def _many(
    args: argparse.Namespace, pairs: Sequence[Any], work: Callable[[], Any]
) -> int:
    """Register all pairs that are not finished; go on past one that cannot be read."""
    from rkd_jax.registration import batch

    if args.points is not None:
        raise ValueError("--points: landmarks are of one pair; drop it for many pairs")
    out = pathlib.Path(args.out)
    inputs = [args.fixed, *([args.weights] if args.weights else [])]
    how = {"pictures": args.pictures, "one_camera": args.one_camera}
    batch.claim_many(out, pairs, inputs, **how)
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
    told = f"{done} of {len(pairs)} pairs registered"
    if results:
        batch.write_table(out, results)
        told += f", see {shown(out)}/pairs.csv"
    if stop is not None:
        left = len(pairs) - len(results)
        say(f"stopped before {left} pairs; start again to go on; {told}", sys.stderr)
        return stop_status(stop)
    say(told, sys.stderr)
    if any(result.summary is None for result in results):
        return BAD_INPUT
    return OK if done == len(results) else NOT_REGISTERED


def _say_result(result: Any, *, as_json: bool) -> None:
    """Print the line of one pair of many."""
    name, summary = shown(result.name), result.summary
    if summary is None:
        say(f"error: {name}: {result.error}", sys.stderr)
    elif as_json:
        say(json.dumps(summary))
    else:
        say(f"{name}: {_report(summary, '').splitlines()[0]}")


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.registration.files.pair_lists import list_pairs
    from rkd_jax.registration.matcher import load_matcher

    out = pathlib.Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")

    def note(text: str) -> None:
        say(f"note: {shown(text)}", sys.stderr)

    def work() -> Any:
        """Load the network: when all that can be refused before was not."""
        from rkd_jax.registration.batch import Work

        keep_compiled(args.compilation_cache_dir)
        changes = arguments.network_changes(args)
        matcher = load_matcher(args.weights, method=args.method, **changes)
        method = {name: getattr(args, name) for name in _METHOD}
        settings = {**matcher.settings(), "weights": args.weights, **method}
        settings["one_camera"] = args.one_camera
        return Work(matcher, method, settings, args.pictures)

    pairs = list_pairs(args.fixed, args.moving, note)
    return _single(args, work) if pairs is None else _many(args, pairs, work)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    prepare_start()
    keep_freed_memory()
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

"""Register photographs and write the results.

    python -m rkd_jax.register FIXED MOVING --out DIR [--weights NAME|FILE]

writes into DIR: `registered.png` (the moving image in the frame of the fixed one),
`overlay.png` (checkerboard of both), `matches.png`, `transform.json`, and with
`--points FILE` the landmarks of the moving image mapped to the fixed one
(`points.csv`). Many pairs at once:

    python -m rkd_jax.register PAIRS.csv --out DIR      (columns fixed, moving, name)
    python -m rkd_jax.register FOLDER --out DIR         (<name>_1 and <name>_2, ...)
    python -m rkd_jax.register FIXED_FOLDER MOVING_FOLDER --out DIR   (equal names)
    python -m rkd_jax.register FIXED MOVING_FOLDER --out DIR

write a folder for each pair and `pairs.csv`; pairs that are finished are skipped, so
that the same command goes on where it was stopped. Exit code 0: all registered; 3: a
pair cannot be registered (the reason is printed, and `matches.png` and
`transform.json` show it); 2: bad input.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from rkd_jax.allocation import keep_freed_memory
from rkd_jax.compiled import add_option, keep_compiled
from rkd_jax.files import write_text
from rkd_jax.matching import arguments
from rkd_jax.matching.landmark_files import check_inside, read_points
from rkd_jax.version import __version__

OK, BAD_INPUT, NOT_REGISTERED = 0, 2, 3
_METHOD = ("transform", "estimator", "guided", "two_pass")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.register",
        description="Register retinal photographs: MOVING onto FIXED, or many pairs.",
        epilog="Exit code 0: registered; 3: cannot be registered; 2: bad input.",
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


def _settings(args: argparse.Namespace, matcher: Any) -> dict[str, Any]:
    return {
        **matcher.settings(),
        "weights": args.weights,
        **{name: getattr(args, name) for name in _METHOD},
        "one_camera": args.one_camera,
    }


def _one(
    args: argparse.Namespace,
    matcher: Any,
    names: tuple[str, str],
    out: pathlib.Path,
    *,
    curvature: Any = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Register the pair of two files, write its files and return the summary."""
    from rkd_jax.data.preprocess import read_image
    from rkd_jax.matching import outputs

    points = None if args.points is None else read_points(args.points)
    fixed, moving = (read_image(name) for name in names)
    if points is not None:
        check_inside(points, moving.shape[:2], args.points)
    views = matcher.view(fixed, moving, names=names)
    registration = matcher.register(
        *views,
        **{name: getattr(args, name) for name in _METHOD},
        curvature=curvature,
    )
    summary = {
        "fixed": names[0],
        "moving": names[1],
        **registration.to_dict(),
        "settings": _settings(args, matcher),
        **(more or {}),
    }
    files = outputs.results(registration, fixed, moving, points, pictures=args.pictures)
    outputs.write(out, files, json.dumps(summary, indent=2) + "\n")
    return summary


def _report(summary: dict[str, Any], out: str) -> str:
    """Return the result as lines for a reader."""
    counts = f"{summary['inliers']} of {summary['matches']} matches are inliers"
    if not summary["ok"]:
        return f"not registered: {summary['reason']} ({counts})"
    return (
        f"registered: {summary['transform']['family']}, {counts}, confidence "
        f"{summary['confidence']:.2f}\nwritten to {out}"
    )


def _single(args: argparse.Namespace, matcher: Any) -> int:
    """Register one pair."""
    if args.one_camera:
        raise ValueError("--one_camera: there is one pair only; give a folder or a CSV")
    names = (str(args.fixed), str(args.moving))
    summary = _one(args, matcher, names, pathlib.Path(args.out))
    print(json.dumps(summary) if args.json else _report(summary, args.out))
    return OK if summary["ok"] else NOT_REGISTERED


def _many(args: argparse.Namespace, matcher: Any, pairs: Sequence[Any]) -> int:
    """Register all pairs that are not finished; go on past one that cannot be read."""
    from rkd_jax.matching.predictions import digest, table_text

    if args.points is not None:
        raise ValueError("--points: landmarks are of one pair; drop it for many pairs")
    out = pathlib.Path(args.out)
    settings = _settings(args, matcher)
    files = {pair.name: (pair.fixed, pair.moving) for pair in pairs}
    digests: dict[str, list[str]] = {}
    rows, codes = [], set()
    for name, paths in files.items():
        try:
            digests[name] = [digest(path) for path in paths]
        except OSError as error:
            digests[name] = [f"unreadable: {error.strerror}"]
    curvature = _camera(args, matcher, pairs, digests, settings, out)
    more = {} if curvature is None else {"camera_curvature": curvature.mean}
    for pair in pairs:
        record = {**more, "sha256": digests[pair.name]}
        wanted = {**record, "settings": settings}
        summary = _finished(out / pair.name, wanted, pictures=args.pictures)
        try:
            if summary is None:
                names = (str(pair.fixed), str(pair.moving))
                summary = _one(
                    args,
                    matcher,
                    names,
                    out / pair.name,
                    curvature=curvature,
                    more=record,
                )
        except (OSError, ValueError, TypeError) as error:
            message = " ".join(str(error).split())
            print(f"error: {pair.name}: {message}", file=sys.stderr)
            rows.append(_row(pair.name, {"ok": False, "reason": f"error: {message}"}))
            codes.add(BAD_INPUT)
            continue
        codes.add(OK if summary["ok"] else NOT_REGISTERED)
        rows.append(_row(pair.name, summary))
        shown = _report(summary, "").splitlines()[0]
        print(json.dumps(summary) if args.json else f"{pair.name}: {shown}", flush=True)
    write_text(out / "pairs.csv", table_text(rows))
    done = sum(row["ok"] for row in rows)
    print(
        f"{done} of {len(rows)} pairs registered, see {out}/pairs.csv", file=sys.stderr
    )
    if BAD_INPUT in codes:
        return BAD_INPUT
    return NOT_REGISTERED if NOT_REGISTERED in codes else OK


def _row(name: str, summary: dict[str, Any]) -> dict[str, Any]:
    """Return one line of `pairs.csv`."""
    return {
        "name": name,
        "ok": summary["ok"],
        "confidence": summary.get("confidence"),
        "family": (summary.get("transform") or {}).get("family", ""),
        "matches": summary.get("matches"),
        "inliers": summary.get("inliers"),
        "reason": summary["reason"],
    }


def _finished(
    folder: pathlib.Path, wanted: dict[str, Any], *, pictures: bool
) -> dict[str, Any] | None:
    """Return the summary of a pair that was registered (and drawn) so, or None."""
    if pictures and not (folder / "matches.png").is_file():
        return None
    try:
        summary = json.loads((folder / "transform.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = json.loads(json.dumps(wanted))
    return summary if all(summary.get(k) == v for k, v in same.items()) else None


def _camera(
    args: argparse.Namespace,
    matcher: Any,
    pairs: Sequence[Any],
    digests: dict[str, list[str]],
    settings: dict[str, Any],
    out: pathlib.Path,
) -> Any:
    """Return the curvature that all pairs share, from `camera.json` if it is theirs."""
    from rkd_jax.matching.calibrate import calibrate
    from rkd_jax.matching.curvature import Curvature

    if not args.one_camera:
        return None
    record = json.loads(json.dumps({"settings": settings, "sha256": digests}))
    path = out / "camera.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if all(known.get(key) == value for key, value in record.items()):
            return Curvature(**known["curvature"])
    except (OSError, ValueError):
        pass
    method = {name: getattr(args, name) for name in _METHOD}
    registrations = []
    for pair in pairs:
        try:
            registrations.append(matcher.register(pair.fixed, pair.moving, **method))
        except (OSError, ValueError, TypeError):
            continue  # told when its turn comes
    found = calibrate(registrations)
    shown = {"mean": found.mean, "sd": found.sd, "source": found.source}
    write_text(path, json.dumps({"curvature": shown, **record}, indent=2) + "\n")
    return found


def _run(args: argparse.Namespace) -> int:
    from rkd_jax.matching.matcher import load_matcher
    from rkd_jax.matching.pair_lists import list_pairs

    out = pathlib.Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")
    pairs = list_pairs(args.fixed, args.moving)
    keep_compiled(args.compilation_cache_dir)
    changes = arguments.network_changes(args)
    matcher = load_matcher(args.weights, method=args.method, **changes)
    if pairs is None:
        return _single(args, matcher)
    return _many(args, matcher, pairs)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    keep_freed_memory()
    try:
        return _run(args)
    except (OSError, ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        print(f"error: {message}", file=sys.stderr)
        return BAD_INPUT


class _Door(types.ModuleType):
    """This module, callable: it shares its name with `rkd_jax.register(...)`.

    Importing a submodule sets it as an attribute of the package, in place of the
    function; calling either does the same.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from rkd_jax.matching.matcher import register

        return register(*args, **kwargs)


sys.modules[__name__].__class__ = _Door


if __name__ == "__main__":
    sys.exit(main())

"""Register one photograph onto another and write the result.

    python -m rkd_jax.register FIXED MOVING --out DIR [--weights FILE]

writes into DIR: `registered.png` (the moving image in the frame of the fixed one),
`overlay.png` (checkerboard of both), `matches.png`, `transform.json`, and with
`--points FILE` the landmarks of the moving image mapped to the fixed one
(`points.csv`). Exit code 0: registered; 3: the pair cannot be registered (the reason
is printed, and `matches.png` and `transform.json` show it); 2: bad input.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import pathlib
import sys
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from rkd_jax.files import atomic_path, write_text

OK, BAD_INPUT, NOT_REGISTERED = 0, 2, 3
_ONLY_IF_OK = ("registered.png", "overlay.png", "points.csv")


def read_points(path: str | pathlib.Path) -> np.ndarray:
    """Read landmarks: two numbers x y a line, by comma, semicolon or blanks.

    Further columns are ignored, and so is one line of names at the top.

    Returns:
        float64 `[N, 2]` in pixels of the moving image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no points, or a line that does not start with two numbers; the
            message names file and line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such landmark file; check --points")
    rows = []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.replace(",", " ").replace(";", " ").split()
        if not fields:
            continue
        try:
            x, y = (float(field) for field in fields[:2])
        except ValueError:
            if not rows and not any(c.isdigit() for c in fields[0]):
                continue
            raise ValueError(
                f"{path}, line {number}: expected two numbers x y, found "
                f"{line.strip()[:60]!r}; correct the line"
            ) from None
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ValueError(f"{path}, line {number}: x y must be finite numbers")
        rows.append((x, y))
    if not rows:
        raise ValueError(f"{path}: no points; expected one x y (pixels) a line")
    return np.array(rows, np.float64)


def _write_png(path: pathlib.Path, image: np.ndarray) -> None:
    """Write an image `[H, W(, 3)]` RGB as PNG, wholly or not at all."""
    import cv2

    if image.ndim == 3:
        image = image[..., ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise ValueError(f"{path}: OpenCV could not encode the image")
    with atomic_path(path) as part:
        part.write_bytes(data.tobytes())


def _write_points(path: pathlib.Path, moving: np.ndarray, fixed: np.ndarray) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["x_moving", "y_moving", "x_fixed", "y_fixed"])
    for row in np.concatenate([moving, fixed], axis=1):
        writer.writerow([f"{value:.3f}" for value in row])
    write_text(path, text.getvalue())


def _write_results(
    out: pathlib.Path,
    registration: Any,
    fixed: np.ndarray,
    moving: np.ndarray,
    points: np.ndarray | None,
    summary: dict[str, Any],
) -> None:
    """Write all files of one pair; drop those of an earlier run that do not hold."""
    from rkd_jax.matching import pictures
    from rkd_jax.matching.field import field_of_view

    for name in _ONLY_IF_OK:
        (out / name).unlink(missing_ok=True)
    picture = pictures.matches_picture(fixed, moving, registration)
    _write_png(out / "matches.png", picture)
    if registration.ok:
        shown = pictures.to_rgb8(moving) if moving.ndim == 3 else moving
        if shown.dtype != np.uint8:
            shown = pictures.to_rgb8(shown)[..., 0]
        registered = registration.warp_image(shown)
        _write_png(out / "registered.png", registered)
        reach = registration.warp_image(
            field_of_view(moving).astype(np.uint8), interpolation="nearest"
        )
        overlay = pictures.overlay_picture(
            fixed, registered, field_of_view(fixed), reach > 0
        )
        _write_png(out / "overlay.png", overlay)
        if points is not None:
            mapped = registration.warp_points(points)
            _write_points(out / "points.csv", points, mapped)
    # Last, so that a complete transform.json means that all files are there.
    write_text(out / "transform.json", json.dumps(summary, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.register",
        description="Register one retinal photograph (MOVING) onto another (FIXED).",
        epilog="Exit code 0: registered; 3: cannot be registered; 2: bad input.",
    )
    parser.add_argument("fixed", metavar="FIXED", help="image whose frame is kept")
    parser.add_argument("moving", metavar="MOVING", help="image to bring onto it")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--weights", metavar="FILE", help="weights (.safetensors)")
    parser.add_argument(
        "--method",
        choices=("network", "sift"),
        default="network",
        help="keypoints of the network (default) or of OpenCV's SIFT",
    )
    parser.add_argument(
        "--transform",
        choices=("homography", "quadratic"),
        default="homography",
        help="family of transforms (default: homography)",
    )
    parser.add_argument(
        "--estimator",
        choices=("magsac", "lmeds"),
        default="magsac",
        help="robust estimator (default: magsac)",
    )
    parser.add_argument(
        "--two_pass", action="store_true", help="warp, detect and match once more"
    )
    parser.add_argument(
        "--points", metavar="FILE", help="landmarks x,y of MOVING to map to FIXED"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as one line of JSON"
    )
    return parser


def _run(args: argparse.Namespace) -> dict[str, Any]:
    """Register the pair, write the files and return the summary."""
    from rkd_jax.data.preprocess import read_image
    from rkd_jax.matching.matcher import load_matcher

    points = None if args.points is None else read_points(args.points)
    out = pathlib.Path(args.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")
    fixed, moving = read_image(args.fixed), read_image(args.moving)
    matcher = load_matcher(args.weights, method=args.method)
    registration = matcher.register(
        args.fixed,
        args.moving,
        transform=args.transform,
        estimator=args.estimator,
        two_pass=args.two_pass,
    )
    summary = {
        "fixed": str(args.fixed),
        "moving": str(args.moving),
        **registration.to_dict(),
        "settings": {
            **matcher.settings(),
            "weights": args.weights,
            "transform": args.transform,
            "estimator": args.estimator,
            "two_pass": args.two_pass,
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    _write_results(out, registration, fixed, moving, points, summary)
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    try:
        summary = _run(args)
    except (OSError, ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        print(f"error: {message}", file=sys.stderr)
        return BAD_INPUT
    print(json.dumps(summary) if args.json else _report(summary, args.out))
    return OK if summary["ok"] else NOT_REGISTERED


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

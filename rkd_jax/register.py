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

from rkd_jax.allocation import keep_freed_memory
from rkd_jax.files import atomic_path, write_text

OK, BAD_INPUT, NOT_REGISTERED = 0, 2, 3
_ONLY_IF_OK = ("registered.png", "overlay.png", "points.csv")


def _fields(line: str) -> list[str]:
    """Split a line at commas, semicolons and blanks."""
    return line.replace(",", " ").replace(";", " ").split()


def _columns(names: list[str], where: str) -> tuple[int, int]:
    """Return which columns hold x and y of the moving image, by their names."""
    names = [name.lower().strip("\"'#") for name in names]
    names = [name for name in names if name]
    for pair in (("x_moving", "y_moving"), ("x", "y")):
        if set(pair) <= set(names):
            return names.index(pair[0]), names.index(pair[1])
    if [name[:1] for name in names[:2]] == ["x", "y"] and "fixed" not in names[0]:
        return 0, 1
    shown = ", ".join(names)[:60]
    raise ValueError(
        f"{where}: columns {shown!r}; expected x and y, or x_moving and y_moving: "
        "rename them, or keep only x y (pixels of the moving image)"
    )


def _check_inside(points: np.ndarray, size: tuple[int, int], path: str) -> None:
    """Refuse points `[N, 2]` more than a pixel outside an image of (height, width)."""
    height, width = size
    outside = ((points < -1) | (points > (width, height))).any(axis=1)
    if outside.any():
        x, y = points[outside.argmax()]
        raise ValueError(
            f"{path}: point {outside.argmax() + 1} at ({x:g}, {y:g}) lies outside the "
            f"moving image of {width}x{height} px ({outside.sum()} such points); give "
            "x y in pixels of MOVING"
        )


def read_points(path: str | pathlib.Path) -> np.ndarray:
    """Read landmarks: two numbers x y a line, by comma, semicolon or blanks.

    One line of names may stand at the top: where it has `x_moving` and `y_moving`, or
    `x` and `y`, these columns are read; other names must begin with x and y. Further
    columns are ignored.

    Returns:
        float64 `[N, 2]` in pixels of the moving image.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no points, names without x and y, or a line without two numbers
            there; the message names file and line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such landmark file; check --points")
    rows, columns = [], (0, 1)
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    header_may_come = True
    for number, line in enumerate(lines, start=1):
        fields = _fields(line)
        if not fields:
            continue
        may_be_header, header_may_come = header_may_come, False
        if may_be_header and not any(c.isdigit() for c in fields[0]):
            columns = _columns(fields, f"{path}, line {number}")
            continue
        try:
            x, y = (float(fields[column]) for column in columns)
        except (ValueError, IndexError):
            raise ValueError(
                f"{path}, line {number}: expected two numbers x y, found "
                f"{line.strip()[:60]!r}; correct the line"
            ) from None
        if not (np.isfinite(x) and np.isfinite(y)):
            raise ValueError(
                f"{path}, line {number}: x y must be finite numbers; correct the line"
            )
        rows.append((x, y))
    if not rows:
        raise ValueError(f"{path}: no points; expected one x y (pixels) a line")
    return np.array(rows, np.float64)


def _png(image: np.ndarray) -> bytes:
    """Encode an image `[H, W(, 3)]` RGB as PNG."""
    import cv2

    if image.ndim == 3:
        image = image[..., ::-1]
    done, data = cv2.imencode(".png", np.ascontiguousarray(image))
    if not done:
        raise ValueError(f"OpenCV could not encode an image of shape {image.shape}")
    return data.tobytes()


def _points_text(moving: np.ndarray, fixed: np.ndarray) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["x_moving", "y_moving", "x_fixed", "y_fixed"])
    for row in np.concatenate([moving, fixed], axis=1):
        writer.writerow([f"{value:.3f}" for value in row])
    return text.getvalue()


def _results(
    registration: Any,
    fixed: np.ndarray,
    moving: np.ndarray,
    points: np.ndarray | None,
) -> dict[str, bytes]:
    """Return the contents of all files of one pair but `transform.json`, by name."""
    from rkd_jax.matching import pictures
    from rkd_jax.matching.field import field_of_view

    picture = pictures.matches_picture(fixed, moving, registration)
    files = {"matches.png": _png(picture)}
    if registration.ok:
        shown = pictures.to_rgb8(moving) if moving.ndim == 3 else moving
        if shown.dtype != np.uint8:
            shown = pictures.to_rgb8(shown)[..., 0]
        registered = registration.warp_image(shown)
        files["registered.png"] = _png(registered)
        reach = registration.warp_image(
            field_of_view(moving).astype(np.uint8), interpolation="nearest"
        )
        overlay = pictures.overlay_picture(
            fixed, registered, field_of_view(fixed), reach > 0
        )
        files["overlay.png"] = _png(overlay)
        if points is not None:
            mapped = registration.warp_points(points)
            files["points.csv"] = _points_text(points, mapped).encode()
    return files


def _write(out: pathlib.Path, files: dict[str, bytes], summary: str) -> None:
    """Write the files, drop those of an earlier run that do not hold any more."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with atomic_path(out / name) as part:
                part.write_bytes(data)
        for name in _ONLY_IF_OK:
            if name not in files:
                (out / name).unlink(missing_ok=True)
        # Last, so that a complete transform.json means that all files are there.
        write_text(out / "transform.json", summary)
    except OSError as error:
        raise OSError(
            f"{out}: cannot write there ({error.strerror or error}); give another --out"
        ) from error


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
    if points is not None:
        _check_inside(points, moving.shape[:2], args.points)
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
    files = _results(registration, fixed, moving, points)
    _write(out, files, json.dumps(summary, indent=2) + "\n")
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
    keep_freed_memory()
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

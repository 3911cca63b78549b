"""Measure on a public benchmark: predict, save, then score.

    python -m rkd_jax.evaluate fire --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate wflw --data_dir DIR --weights FILE --out DIR

write `predictions.npz`, and from that file alone `metrics.json` and `pairs.csv` or
`faces.csv`; wflw draws the error curve and the worst faces too. The same command again
goes on where it was stopped; predictions from other settings are refused unless
`--overwrite` is given. Exit code 0, or 2 for bad input.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

OK, BAD_INPUT = 0, 2
_LINE_EVERY_S = 20.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.evaluate",
        description="Predict on a benchmark, save the predictions, score them.",
    )
    commands = parser.add_subparsers(dest="benchmark", required=True)
    fire = commands.add_parser(
        "fire",
        help="registration of the FIRE pairs",
        description="Register the FIRE pairs and score the control points.",
    )
    fire.add_argument("--data_dir", required=True, metavar="DIR", help="FIRE folder")
    fire.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    fire.add_argument("--weights", metavar="FILE", help="weights (.safetensors)")
    fire.add_argument(
        "--method",
        choices=("network", "sift"),
        default="network",
        help="keypoints of the network (default) or of OpenCV's SIFT",
    )
    fire.add_argument(
        "--options",
        choices=("default", "paper"),
        default="default",
        help="detection and matching: ours, or as in the FIRE papers",
    )
    fire.add_argument(
        "--truncate_points",
        action="store_true",
        help="drop the fraction of keypoints in file pixels, as upstream does",
    )
    fire.add_argument(
        "--size", type=int, metavar="PX", help="working size (default: the weights')"
    )
    fire.add_argument(
        "--transform",
        choices=("homography", "quadratic"),
        default="homography",
        help="family of transforms (default: homography)",
    )
    fire.add_argument(
        "--estimator",
        choices=("magsac", "lmeds"),
        default="magsac",
        help="robust estimator (default: magsac; the papers use lmeds)",
    )
    fire.add_argument(
        "--two_pass", action="store_true", help="warp, detect and match once more"
    )
    fire.add_argument(
        "--pairs", metavar="FILE", help="text file with the pairs to take, one a line"
    )
    fire.add_argument(
        "--overwrite", action="store_true", help="replace predictions in --out"
    )
    fire.set_defaults(run=_fire)
    _add_wflw(commands)
    return parser


def _add_wflw(commands: Any) -> None:
    wflw = commands.add_parser(
        "wflw",
        help="98 points of the faces of WFLW",
        description="Align the faces of a list of WFLW and score their points.",
    )
    wflw.add_argument("--data_dir", required=True, metavar="DIR", help="WFLW folder")
    wflw.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    wflw.add_argument("--weights", metavar="FILE", help="weights (.safetensors)")
    wflw.add_argument(
        "--method",
        choices=("network", "mean_face"),
        default="network",
        help="points of the network (default) or the mean face of the training faces",
    )
    wflw.add_argument(
        "--list",
        default="test",
        metavar="NAME",
        help="train, test (default), test_largepose, ..., or a file",
    )
    wflw.add_argument(
        "--train_list",
        default="train",
        metavar="NAME",
        help="list of the mean face, without --fold (default: train)",
    )
    wflw.add_argument(
        "--fold",
        type=int,
        metavar="K",
        help="score part K of the list alone; the mean face is of the other parts",
    )
    wflw.add_argument(
        "--folds", type=int, default=5, metavar="N", help="parts, by image (default: 5)"
    )
    wflw.add_argument(
        "--normalizer",
        choices=("corners", "pupils"),
        default="corners",
        help="errors by the outer eye corners' distance (default) or the pupils'",
    )
    wflw.add_argument(
        "--worst",
        type=int,
        default=12,
        metavar="N",
        help="faces with the largest errors to draw (default: 12)",
    )
    wflw.add_argument(
        "--overwrite", action="store_true", help="replace predictions in --out"
    )
    wflw.set_defaults(run=_wflw)


def _matcher(args: argparse.Namespace) -> Any:
    """Build the matcher that the arguments describe."""
    from rkd_jax.matching.matcher import load_matcher
    from rkd_jax.matching.options import MatcherOptions

    options = MatcherOptions.paper() if args.options == "paper" else None
    changes: dict[str, Any] = {"truncate_points": args.truncate_points}
    if args.size is not None:
        changes["working_size"] = args.size
    return load_matcher(args.weights, method=args.method, options=options, **changes)


def _settings(args: argparse.Namespace, matcher: Any) -> dict[str, Any]:
    """Return all that the predictions depend on, apart from the images."""
    import rkd_jax

    weights = None
    if args.method == "network":
        from rkd_jax.matching.matcher import packaged_weights

        path = pathlib.Path(args.weights or packaged_weights())
        weights = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        **matcher.settings(),
        "weights_sha256": weights,
        "transform": args.transform,
        "estimator": args.estimator,
        "two_pass": args.two_pass,
        "version": rkd_jax.__version__,
    }


def _read_names(path: str | None) -> list[str] | None:
    """Read names of pairs, one a line; "#" starts a comment."""
    if path is None:
        return None
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; check --pairs")
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    names = [line.split("#")[0].strip() for line in lines]
    return [name for name in names if name]


def _progress(what: str) -> Callable[[int, int, str], None]:
    """Return a reporter on stderr: one moving line on a terminal, else plain lines."""
    start, first, last_line = time.monotonic(), None, -_LINE_EVERY_S
    live = sys.stderr.isatty()

    def report(done: int, total: int, name: str) -> None:
        nonlocal first, last_line
        first = done if first is None else first
        spent = time.monotonic() - start
        text = f"{done}/{total} {what}"
        if done > first and done < total:
            left = spent / (done - first) * (total - done)
            text += f", {int(left) // 60}:{int(left) % 60:02d} left"
        text += f", now {name}" if name else f", {spent:.0f} s"
        if live:
            end = "" if done < total else "\n"
            print(f"\r\x1b[K{text}", end=end, file=sys.stderr, flush=True)
        elif spent - last_line >= _LINE_EVERY_S or done == total:
            last_line = spent
            print(text, file=sys.stderr, flush=True)

    return report


def _table(metrics: dict[str, Any]) -> str:
    """Return the scores as text."""
    from rkd_jax.metrics import fire

    lines = [f"{'':8}{'pairs':>6}{'AUC':>8}  {'95 % interval':15}{'mean error px':>14}"]
    for row in fire.summary_rows(metrics):
        interval = (
            "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
        )
        error = row["mean_landmark_error"]
        shown = "" if error is None else f"{error:.2f}"
        auc = row["auc"]
        lines.append(
            f"{row['score']:8}{row['pairs']:>6}{auc:>8.3f}  {interval:15}{shown:>14}"
        )
    lines.append(
        ", ".join(
            f"{name} {metrics['counts'][name]} ({metrics[name]:.1f} %)"
            for name in ("failed", "inaccurate", "acceptable")
        )
        + f"; {metrics['eyes']} eyes; P37 left out"
    )
    return "\n".join(lines)


def _out_folder(name: str) -> pathlib.Path:
    out = pathlib.Path(name)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")
    return out


def _fire(args: argparse.Namespace) -> None:
    """Run FIRE: loop 1 predicts and saves, loop 2 scores the saved file."""
    from rkd_jax.matching import fire_benchmark

    pairs = fire_benchmark.list_pairs(args.data_dir, _read_names(args.pairs))
    out = _out_folder(args.out)
    matcher = _matcher(args)
    settings = _settings(args, matcher)
    out.mkdir(parents=True, exist_ok=True)
    path = out / fire_benchmark.PREDICTIONS
    fire_benchmark.predict(
        pairs,
        matcher,
        path,
        settings,
        overwrite=args.overwrite,
        progress=_progress("pairs"),
    )
    wanted = {pair.name for pair in pairs}
    _, saved = fire_benchmark.load_predictions(path)
    chosen = [prediction for prediction in saved if prediction.name in wanted]
    metrics, rows = fire_benchmark.score(chosen)
    fire_benchmark.write_scores(out, metrics, rows, settings)
    print(_table(metrics))
    print(f"written to {out}")


def _wflw(args: argparse.Namespace) -> None:
    """Run WFLW: loop 1 predicts and saves, loop 2 scores the saved file."""
    import rkd_jax
    from rkd_jax.alignment import wflw_benchmark as benchmark
    from rkd_jax.data import wflw

    out = _out_folder(args.out)
    faces, training = wflw.read_list(args.data_dir, args.list), None
    if args.fold is not None:
        training, faces = wflw.split_fold(faces, args.fold, args.folds)
    if args.method == "mean_face":
        if args.weights:
            raise ValueError("--method mean_face takes no --weights")
        if training is None:
            training = wflw.read_list(args.data_dir, args.train_list)
        shape = benchmark.mean_face(training)
        digest = hashlib.sha256(shape.tobytes()).hexdigest()

        def align(pictures: list[Any], boxes: Any) -> Any:
            return benchmark.place_mean_face(shape, boxes)

    else:
        if not args.weights:
            raise ValueError(
                "--weights is missing: give a file that configs/faces.py trained, or "
                "--method mean_face"
            )
        from rkd_jax.alignment.aligner import load_aligner

        align = load_aligner(args.weights)
        digest = hashlib.sha256(pathlib.Path(args.weights).read_bytes()).hexdigest()
    settings = {
        "method": args.method,
        "weights_sha256": digest,
        "version": rkd_jax.__version__,
    }
    path = out / benchmark.PREDICTIONS
    benchmark.predict(
        faces,
        align,
        path,
        settings,
        overwrite=args.overwrite,
        progress=_progress("faces"),
    )
    _, saved = benchmark.load_predictions(path)
    scores, errors = benchmark.score(saved, normalizer=args.normalizer)
    settings = {**settings, "list": args.list, "fold": args.fold, "folds": args.folds}
    benchmark.write_scores(out, scores, errors, saved, settings)
    benchmark.draw_largest(out, faces, errors, saved, count=args.worst)
    print(f"{'':14}{'faces':>6}{'NME %':>9}{'failure %':>11}{'AUC':>8}")
    for name, row in scores["subsets"].items():
        print(
            f"{name:14}{row['faces']:>6}{row['nme']:>9.2f}{row['failure_rate']:>11.1f}"
            f"{row['auc']:>8.3f}"
        )
    print(f"written to {out}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except (OSError, ValueError, TypeError) as error:
        message = " ".join(str(error).split())
        print(f"error: {message}", file=sys.stderr)
        return BAD_INPUT
    return OK


if __name__ == "__main__":
    sys.exit(main())

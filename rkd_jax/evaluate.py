"""Measure a matcher: predict, save, then score what was saved.

    python -m rkd_jax.evaluate fire --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate wflw --data_dir DIR --weights FILE --out DIR
    python -m rkd_jax.evaluate multimodal --data_dir DIR --out DIR
    python -m rkd_jax.evaluate unrelated --photographs DIR... --out DIR
    python -m rkd_jax.evaluate ablation --data_dir DIR --weights NAME=FILE... --out DIR

write `predictions.npz`, and from that file alone `metrics.json` and `pairs.csv`
(`unrelated`: also `believed.csv` and a picture in `believed/` of each pair that was
reported as registered; `wflw`: `faces.csv`, the error curve and the faces with the
largest errors; `ablation`: a folder of these for each network and protocol, and
`ablation.csv`, `ablation.md`, `ablation.png`). The same command again goes on where it
was stopped; predictions from other settings are refused unless `--overwrite` is given.
Exit code 0, or 2 for bad input; 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from rkd_jax.evaluation import wflw as faces_command
from rkd_jax.registration import arguments
from rkd_jax.runtime.command import run, say
from rkd_jax.runtime.compile_cache import add_option, keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory
from rkd_jax.runtime.progress import progress_of, read_names
from rkd_jax.version import __version__

OK = 0


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace predictions in --out"
    )
    add_option(parser)


def _add_matcher(parser: argparse.ArgumentParser) -> None:
    """Add what names the keypoints and how they are found."""
    arguments.add_network(parser)
    parser.add_argument(
        "--options",
        choices=("default", "paper"),
        default="default",
        help="detection and matching: ours, or as in the FIRE papers",
    )
    parser.add_argument(
        "--truncate_points",
        action="store_true",
        help="drop the fraction of keypoints in file pixels, as upstream does",
    )
    parser.add_argument(
        "--points",
        choices=("detector", "detector+dog"),
        help="where a network's descriptors are read (default: detector+dog; with "
        "--options paper: detector)",
    )


def _add_fit(parser: argparse.ArgumentParser) -> None:
    """Add how a transform is fitted."""
    arguments.add_fit(parser)
    parser.add_argument(
        "--camera",
        choices=("each", "shared"),
        default="each",
        help="each: nothing is known of the camera of a pair (default); shared: one "
        "took all pairs, whose curvature comes from the matches of all of them",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.evaluate",
        description="Predict on a benchmark, save the predictions, score them.",
    )
    parser.add_argument("--version", action="version", version=f"rkd_jax {__version__}")
    commands = parser.add_subparsers(dest="benchmark", required=True)
    fire = commands.add_parser(
        "fire",
        help="registration of the FIRE pairs",
        description="Register the FIRE pairs and score the control points.",
    )
    fire.add_argument("--data_dir", required=True, metavar="DIR", help="FIRE folder")
    multimodal = commands.add_parser(
        "multimodal",
        help="registration across modalities, with landmarks",
        description="Register pairs of <id>_fixed, <id>_moving, <id>_landmarks.csv.",
    )
    multimodal.add_argument("--data_dir", required=True, metavar="DIR", help="folder")
    for command in (fire, multimodal):
        command.add_argument(
            "--pairs",
            metavar="FILE",
            help="text file with the pairs to take, one a line",
        )
    unrelated = commands.add_parser(
        "unrelated",
        help="pairs of different eyes: how many are wrongly believed",
        description="Register pairs of different eyes and count those reported as ok.",
    )
    unrelated.add_argument(
        "--photographs",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of photographs; names with _left and _right, or L and R after "
        "the number, tell the eyes of a patient",
    )
    unrelated.add_argument(
        "--count", type=int, default=500, metavar="N", help="pairs (default: 500)"
    )
    unrelated.add_argument(
        "--seed", type=int, default=0, help="of the choice (default: 0)"
    )
    unrelated.add_argument(
        "--fellows",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share of pairs that are left and right eye of one patient (default: 0.3)",
    )
    unrelated.add_argument(
        "--same_eye",
        metavar="FILE",
        help="CSV of photographs known to show one eye (columns fixed, moving: paths "
        "or names): such pairs are counted apart",
    )
    runs = ((fire, _fire), (multimodal, _multimodal), (unrelated, _unrelated))
    for command, action in runs:
        _add_output(command)
        _add_matcher(command)
        _add_fit(command)
        command.set_defaults(run=action)
    ablation = commands.add_parser(
        "ablation",
        help="every network on FIRE, by the papers' protocol and by ours",
        description="Register the FIRE pairs with SIFT and every network given.",
    )
    ablation.add_argument(
        "--data_dir", required=True, metavar="DIR", help="FIRE folder"
    )
    ablation.add_argument(
        "--weights",
        nargs="*",
        default=[],
        metavar="NAME=FILE",
        help="networks; a NAME of the paper's rows gets the paper's numbers beside it "
        "(unet, large_kernel, large_kernel_1357, swin, swin_rkd, swin_rkd_no_dropout, "
        "swin_rkd_large_kernel, swin_rkd_pretrained)",
    )
    ablation.add_argument(
        "--compare",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "NAME"),
        help="difference of two networks with its interval (default: all pairs)",
    )
    _add_output(ablation)
    ablation.set_defaults(run=_ablation)
    wflw = commands.add_parser(
        "wflw",
        help="98 points of the faces of WFLW",
        description="Align the faces of a list of WFLW and score their points.",
    )
    faces_command.add_arguments(wflw)
    _add_output(wflw)
    wflw.set_defaults(run=_wflw)
    return parser


def _matcher(args: argparse.Namespace) -> Any:
    """Build the matcher that the arguments describe."""
    from rkd_jax.registration.matcher import load_matcher
    from rkd_jax.registration.options import MatcherOptions

    options = MatcherOptions.paper() if args.options == "paper" else None
    changes = arguments.network_changes(args)
    changes["truncate_points"] = args.truncate_points
    if args.points is not None:
        changes["points"] = args.points
    return load_matcher(args.weights, method=args.method, options=options, **changes)


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


def _predicted(
    pairs: Sequence[Any],
    matcher: Any,
    settings: dict[str, Any],
    out: pathlib.Path,
    *,
    overwrite: bool,
) -> tuple[dict[str, Any], list[Any]]:
    """Run loop 1; return settings and predictions as saved, of these pairs only."""
    from rkd_jax.registration.files import predictions

    out.mkdir(parents=True, exist_ok=True)
    path = out / predictions.PREDICTIONS
    predictions.predict(
        pairs,
        matcher,
        path,
        settings,
        overwrite=overwrite,
        progress=progress_of("pairs"),
    )
    wanted = {pair.name for pair in pairs}
    whole, saved = predictions.load_predictions(path)
    return whole, [prediction for prediction in saved if prediction.name in wanted]


def _run(args: argparse.Namespace, pairs: Sequence[Any], score: Any) -> dict[str, Any]:
    """Predict, score, write; return the metrics."""
    from rkd_jax.registration.files import predictions

    files = [pair.fixed for pair in pairs] + [pair.moving for pair in pairs]
    files += [pair.source() for pair in pairs]
    more = [args.weights, getattr(args, "pairs", None)]
    inputs = [*files, *(name for name in more if name)]
    predictions.claim(pathlib.Path(args.out), inputs=inputs)
    matcher = _matcher(args)
    method = {name: getattr(args, name) for name in predictions.METHOD}
    settings = {**matcher.settings(), **method, "camera": args.camera}
    out = pathlib.Path(args.out)
    whole, chosen = _predicted(pairs, matcher, settings, out, overwrite=args.overwrite)
    metrics, rows = score(chosen)
    metrics["camera"] = _camera(whole)
    predictions.write_scores(out, metrics, rows, whole)
    return metrics


def _camera(settings: dict[str, Any]) -> str:
    """Say what was known of the camera."""
    if settings["camera"] == "each":
        return "each pair for itself"
    k, names = settings["curvature"]["mean"], settings["calibrated_on"]
    return (
        f"one camera: k = {k:.4f} from the matches of all {len(names)} pairs, so that "
        "no result is of its pair alone (no landmarks were used)"
    )


def _fire(args: argparse.Namespace) -> None:
    """Run FIRE: loop 1 predicts and saves, loop 2 scores the saved file."""
    from rkd_jax.evaluation import fire as fire_benchmark

    pairs = fire_benchmark.list_pairs(args.data_dir, read_names(args.pairs))
    metrics = _run(args, pairs, fire_benchmark.score)
    say(f"{_table(metrics)}\ncamera: {metrics['camera']}\nwritten to {args.out}")


def _multimodal(args: argparse.Namespace) -> None:
    """Run pairs across modalities."""
    from rkd_jax.evaluation import multimodal as multimodal_benchmark

    pairs = multimodal_benchmark.list_pairs(args.data_dir, read_names(args.pairs))
    metrics = _run(args, pairs, multimodal_benchmark.score)
    say(
        f"{metrics['success']:.1%} of {metrics['pairs']:.0f} pairs below "
        f"{multimodal_benchmark.SUCCESS_PX:g} px, AUC {metrics['auc']:.3f}, "
        f"{metrics['ok']} believed\nwritten to {args.out}"
    )


def _unrelated(args: argparse.Namespace) -> None:
    """Run pairs of different eyes."""
    from rkd_jax.evaluation import believed
    from rkd_jax.evaluation import unrelated as unrelated_benchmark
    from rkd_jax.evaluation.same_eye import is_known, read_same_eye
    from rkd_jax.registration.files import predictions

    if args.count < 1:
        raise ValueError(f"--count {args.count}: expected at least 1")
    if not 0 <= args.fellows <= 1:
        raise ValueError(f"--fellows {args.fellows:g}: expected a share from 0 to 1")
    out = pathlib.Path(args.out)
    paths = unrelated_benchmark.photographs(args.photographs)
    eyes = {} if args.same_eye is None else read_same_eye(args.same_eye, paths)
    pairs = {
        pair.name: pair
        for pair in unrelated_benchmark.list_pairs(
            paths, args.count, seed=args.seed, fellows=args.fellows
        )
    }
    same_eye = {
        name for name, pair in pairs.items() if is_known(eyes, pair.fixed, pair.moving)
    }
    inputs = [*paths, *([] if args.same_eye is None else [args.same_eye])]
    believed.claim(out, list(pairs.values()), inputs)
    score = functools.partial(unrelated_benchmark.score, same_eye=same_eye)
    metrics = _run(args, list(pairs.values()), score)
    _, saved = predictions.load_predictions(out / predictions.PREDICTIONS)
    others = [p for p in saved if p.ok and p.name in pairs.keys() - same_eye]
    for prediction, picture in believed.write(out, pairs, others):
        pair = pairs[prediction.name]
        say(
            f"reported as registered: {pair.fixed} and {pair.moving} (confidence "
            f"{prediction.confidence:.2f}); see {picture}: if both show one eye, add "
            "the pair to --same_eye FILE"
        )
    say(f"{unrelated_benchmark.summary(metrics)}\nwritten to {out}")


def _ablation(args: argparse.Namespace) -> None:
    """Run every network by both protocols, and lay all of it out in one table."""
    from rkd_jax import weights
    from rkd_jax.evaluation import ablation
    from rkd_jax.evaluation import fire as fire_benchmark
    from rkd_jax.registration.matcher import load_matcher

    files = ablation.parse_weights(args.weights)
    for file in files.values():
        weights.find(file)
    names = ["sift", *files]
    compared = args.compare or list(itertools.combinations(names, 2))
    for name in itertools.chain.from_iterable(compared):
        if name not in names:
            raise ValueError(f"--compare {name}: expected one of {names}")
    pairs = fire_benchmark.list_pairs(args.data_dir)
    out = pathlib.Path(args.out)
    ablation.claim(out, names, inputs=files.values())
    rows, runs, digests = [], {}, {}
    for name, protocol in itertools.product(names, ablation.PROTOCOLS):
        file = files.get(name)
        method = "sift" if name == "sift" else "network"
        matcher = load_matcher(file, method=method, options=protocol.options())
        settings = {**matcher.settings(), **protocol.method, "camera": "each"}
        digests[name] = settings.get("weights_sha256")
        say(f"{name}, {protocol.name} protocol", sys.stderr)
        folder = out / name / protocol.name
        _, found = _predicted(
            pairs, matcher, settings, folder, overwrite=args.overwrite
        )
        runs[name, protocol.name] = found
        rows.append(ablation.table_row(name, protocol.name, found))
    differences = [
        ablation.comparison(
            (first, second),
            protocol.name,
            (runs[first, protocol.name], runs[second, protocol.name]),
        )
        for (first, second), protocol in itertools.product(compared, ablation.PROTOCOLS)
    ]
    source = ablation.source_text(files, digests, args.compare)
    text = ablation.write(out, rows, differences, source=source)
    say(f"{text}written to {out}")


def _wflw(args: argparse.Namespace) -> None:
    """Run faces of WFLW."""
    faces_command.run(args, progress_of("faces"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    keep_freed_memory()

    def action() -> int:
        keep_compiled(args.compilation_cache_dir)
        args.run(args)
        return OK

    return run(action)


if __name__ == "__main__":
    sys.exit(main())

"""WFLW: 98 points of faces.

Layout: `WFLW_images/...` and `WFLW_annotations/...` (read by `rkd_jax.data.wflw`). The
error of a face and what is made of it are in `rkd_jax.metrics.landmarks`.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

from rkd_jax.runtime.command import say
from rkd_jax.version import __version__


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command, but for those of the output."""
    parser.add_argument("--data_dir", required=True, metavar="DIR", help="WFLW folder")
    parser.add_argument("--weights", metavar="FILE", help="weights (.safetensors)")
    parser.add_argument(
        "--method",
        choices=("network", "mean_face"),
        default="network",
        help="points of the network (default) or the mean face of the training faces",
    )
    parser.add_argument(
        "--list",
        default="test",
        metavar="NAME",
        help="train, test (default), test_largepose, ..., or a file",
    )
    parser.add_argument(
        "--train_list",
        metavar="NAME",
        help="list of the mean face, without --fold (default: train)",
    )
    parser.add_argument(
        "--fold",
        type=int,
        metavar="K",
        help="score part K of the list alone; the mean face is of the other parts",
    )
    parser.add_argument(
        "--folds", type=int, metavar="N", help="parts, by image (default: 5)"
    )
    parser.add_argument(
        "--normalizer",
        choices=("corners", "pupils"),
        default="corners",
        help="errors by the outer eye corners' distance (default) or the pupils'",
    )
    parser.add_argument(
        "--worst",
        type=_count,
        default=12,
        metavar="N",
        help="faces with the largest errors to draw (default: 12)",
    )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(
            f"expected a whole number of at least 0, found {text!r}"
        )
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Predict and save; then score and draw what was saved."""
    from rkd_jax.data import wflw
    from rkd_jax.evaluation import wflw_scores as scores
    from rkd_jax.evaluation.predictions import PREDICTIONS
    from rkd_jax.evaluation.wflw_predictions import load_predictions, predict

    if args.fold is None and args.folds is not None:
        raise ValueError("--folds without --fold: say which part to score")
    if args.train_list is not None and (
        args.fold is not None or args.method != "mean_face"
    ):
        raise ValueError(
            "--train_list is of --method mean_face without --fold, whose mean face is "
            "of the other parts; leave it out"
        )
    folds = 5 if args.folds is None else args.folds
    out = pathlib.Path(args.out)
    faces, training = wflw.read_list(args.data_dir, args.list), None
    if args.fold is not None:
        training, faces = wflw.split_fold(faces, args.fold, folds)
    if args.method == "mean_face" and training is None:
        name = "train" if args.train_list is None else args.train_list
        training = wflw.read_list(args.data_dir, name)
    inputs = [face.image for face in faces] + [args.weights or args.list]
    scores.claim(out, inputs=inputs)
    align, settings = _method(args, training)
    path = out / PREDICTIONS
    predict(faces, align, path, settings, overwrite=args.overwrite)
    _, everything = load_predictions(path)
    saved = everything.of(faces)
    found, errors = scores.score(saved, normalizer=args.normalizer)
    about = sum(face.attributes is None for face in faces)
    settings |= {"list": args.list, "boxes_about_points": about}
    if args.fold is not None:
        settings |= {"fold": args.fold, "folds": folds}
    scores.write_scores(out, found, errors, saved, settings)
    scores.draw_largest(out, faces, errors, saved, count=args.worst)
    say(f"{'':14}{'faces':>6}{'NME %':>9}{'failure %':>11}{'AUC':>8}")
    for name, row in found["subsets"].items():
        say(
            f"{name:14}{row['faces']:>6}{row['nme']:>9.2f}{row['failure_rate']:>11.1f}"
            f"{row['auc']:>8.3f}"
        )
    say(f"written to {out}")
    return 0


def _method(
    args: argparse.Namespace, training: Any
) -> tuple[Callable[[list[Any], Any], Any], dict[str, Any]]:
    """Return what finds the points, and all that its predictions depend on."""
    if args.method == "mean_face":
        from rkd_jax.evaluation import mean_face

        if args.weights:
            raise ValueError("--method mean_face takes no --weights")
        shape = mean_face.mean_face(training)
        digest = {"shape_sha256": hashlib.sha256(shape.tobytes()).hexdigest()}

        def align(pictures: list[Any], boxes: Any) -> Any:
            return mean_face.place_mean_face(shape, boxes)

    else:
        from rkd_jax.tasks.faces.landmarker import FaceLandmarker

        if not args.weights:
            raise ValueError(
                "--weights is missing: give a file of `python -m rkd_jax.train "
                "--config faces`, or --method mean_face"
            )
        align = FaceLandmarker(args.weights)
        digest = {"weights_sha256": align.weights.sha256}
    return align, {
        "method": args.method,
        **digest,
        "version": __version__,
    }

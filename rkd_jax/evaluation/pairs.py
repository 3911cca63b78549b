"""Both loops of a benchmark of registration: predict and save, then score the file."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rkd_jax.evaluation import arguments, predictions
from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.files.own_files import digest
from rkd_jax.registration.arguments import METHOD, method_of
from rkd_jax.registration.files.landmarks import check_inside
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.many import saving

if TYPE_CHECKING:
    from rkd_jax.registration.matcher import Matcher
    from rkd_jax.registration.photo import Photo
    from rkd_jax.registration.result import Registration

_OF_CAMERA = ("curvature", "calibrated_on")
# Predictions -> metrics, and the rows of `pairs.csv`.
Score = Callable[[Sequence[Prediction]], tuple[dict[str, Any], list[dict[str, Any]]]]


def run(
    args: argparse.Namespace,
    pairs: Sequence[Pair],
    score: Score,
    read_annotation: Callable[[pathlib.Path], np.ndarray] | None = None,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Predict, save, score what was saved, write `metrics.json` and `pairs.csv`.

    Args:
        args: of `arguments.add_registration`, with `out` and `overwrite`.
        pairs: of the benchmark.
        score: of the benchmark.
        read_annotation: reads a pair's landmarks `[N, 4]`: x_fixed, y_fixed, x_moving,
            y_moving; None where pairs have none.

    Returns:
        The metrics, and the predictions as saved.
    """
    files = [path for pair in pairs for path in pair.files()]
    more = [args.weights, getattr(args, "pairs", None)]
    out = pathlib.Path(args.out)
    predictions.claim(out, inputs=[*files, *(name for name in more if name)])
    matcher = arguments.load_matcher(args)
    settings = {**matcher.settings(), **method_of(args), "camera": args.camera}
    whole, saved = predict(
        pairs, matcher, out, settings, read_annotation, overwrite=args.overwrite
    )
    metrics, rows = score(saved)
    metrics["camera"] = _camera_text(whole)
    predictions.write_scores(out, metrics, rows, whole)
    return metrics, saved


def _camera_text(settings: Mapping[str, Any]) -> str:
    """Say what was known of the camera."""
    if settings["camera"] == "each":
        return "each pair for itself"
    k, names = settings["curvature"]["mean"], settings["calibrated_on"]
    return (
        f"one camera: k = {k:.4f} from the matches of all {len(names)} pairs, so that "
        "no result is of its pair alone (no landmarks were used)"
    )


def predict(
    pairs: Sequence[Pair],
    matcher: Matcher,
    out: pathlib.Path,
    settings: Mapping[str, Any],
    read_annotation: Callable[[pathlib.Path], np.ndarray] | None = None,
    *,
    overwrite: bool = False,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Register all pairs, saving as it goes; then read what was saved.

    Pairs that the file has from the same settings and images are not run again.

    Args:
        pairs: what to register.
        matcher: how.
        out: folder of `predictions.npz`.
        settings: of the whole run, JSON-like, with the keys of `METHOD`, which go to
            `matcher.register`, and "camera": "each" (nothing is known of any pair's
            camera) or "shared" (one took them all: every pair is registered twice,
            and k of the second time comes from the matches of all the first time).
        read_annotation: see `run`.
        overwrite: drop predictions of other settings; else they are refused.

    Returns:
        Settings (with the shared camera) and predictions of these pairs, as saved.

    Raises:
        ValueError: the file holds predictions from other settings, or a landmark lies
            outside its image.
    """
    from rkd_jax.registration.fitting.curvature import Curvature
    from rkd_jax.registration.many import Photographs, find_camera, register_each

    path = out / predictions.PREDICTIONS
    digests = {p: digest(p) for pair in pairs for p in (pair.fixed, pair.moving)}
    images = {p.name: (digests[p.fixed], digests[p.moving]) for p in pairs}
    done, camera = ({}, None) if overwrite else _finished(path, settings, images)
    calibrates = settings["camera"] == "shared" and camera is None
    left = [pair for pair in pairs if pair.name not in done]
    landmarks = {pair.name: _landmarks(pair, read_annotation) for pair in pairs}
    photographs = Photographs(matcher)
    method = {name: settings[name] for name in METHOD}

    def register(pair: Pair, fixed: Photo, moving: Photo) -> Registration:
        points, source = landmarks[pair.name], pair.annotation or ""
        check_inside(points[:, :2], fixed.file_size, source, image="fixed")
        check_inside(points[:, 2:], moving.file_size, source)
        return matcher.register(fixed, moving, **method, curvature=curvature)

    curvature = None
    if calibrates:
        found = find_camera(photographs, left, digests, register)
        camera = {"curvature": dataclasses.asdict(found)}
        camera["calibrated_on"] = sorted(images)
    if camera is not None:
        curvature = Curvature(**camera["curvature"])
    whole = {**settings, **(camera or {})}

    def save() -> None:
        ordered = [done[name] for name in sorted(done)]
        predictions.save_predictions(path, whole, ordered)

    with saving(save) as changed:
        for pair, found in register_each(photographs, left, digests, register):
            done[pair.name] = predictions.prediction_of(
                pair, images[pair.name], found, landmarks[pair.name]
            )
            changed()
    whole, saved = predictions.load_predictions(path)
    return whole, [prediction for prediction in saved if prediction.name in images]


def _landmarks(
    pair: Pair, read: Callable[[pathlib.Path], np.ndarray] | None
) -> np.ndarray:
    """Return the annotation `[N, 4]` of a pair; `[0, 4]` without one."""
    if read is None or pair.annotation is None:
        return np.zeros((0, 4))
    return read(pair.annotation)


def _finished(
    path: pathlib.Path,
    settings: Mapping[str, Any],
    images: Mapping[str, tuple[str, str]],
) -> tuple[dict[str, Prediction], dict[str, Any] | None]:
    """Return what an earlier run left that still holds; refuse other settings.

    A shared camera is of exactly the pairs that it was calibrated on: with another
    list, or one changed photograph, everything is done anew.

    Args:
        path: the file of predictions.
        settings: of this run.
        images: digests of the photographs of each pair.

    Returns:
        Predictions by name, and the shared camera.
    """
    if not path.exists():
        return {}, None
    old, saved = predictions.load_predictions(path)
    camera = {key: old.pop(key) for key in _OF_CAMERA if key in old}
    predictions.refuse_other_settings(path, old, settings)
    done = {p.name: p for p in saved if images.get(p.name, p.images) == p.images}
    if settings["camera"] == "each":
        return done, None
    same = camera and camera["calibrated_on"] == sorted(images)
    return (done, camera) if same and done.keys() >= images.keys() else ({}, None)

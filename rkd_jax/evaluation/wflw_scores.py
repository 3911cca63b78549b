"""Scores of the faces of WFLW, and their files: tables, curve, largest errors."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.wflw import Face
from rkd_jax.evaluation import charts
from rkd_jax.evaluation.predictions import METRICS, PREDICTIONS
from rkd_jax.evaluation.wflw_predictions import Predictions, load_predictions
from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.images.pictures import encode_png, to_rgb8
from rkd_jax.images.reading import read_image
from rkd_jax.metrics import landmarks as metrics
from rkd_jax.synthetic.faces.points import ATTRIBUTES
from rkd_jax.tasks.faces import pictures
from rkd_jax.tasks.faces.crops import BOX_SCALE, crop_face

TABLE = "faces.csv"
CURVE = "error_curve.png"
LARGEST = "largest_errors"


def score(
    predictions: Predictions, *, normalizer: str = "corners"
) -> tuple[dict[str, Any], np.ndarray]:
    """Score predictions; no network, no images.

    Args:
        predictions: of some faces.
        normalizer: see `rkd_jax.metrics.landmarks.face_errors`.

    Returns:
        The scores of all faces and of each attribute's, ready for JSON, and the
        normalized error of each face `[N]`.

    Raises:
        ValueError: no face, or one that cannot be scored (named).
    """
    names = [str(name) for name in predictions.names]
    errors = metrics.face_errors(
        predictions.predicted, predictions.truth, normalizer=normalizer, names=names
    )
    members = (predictions.attributes == 1).T
    subsets = metrics.by_subset(errors, dict(zip(ATTRIBUTES, members)))
    units = {"corners": "outer eye corners (60, 72)", "pupils": "pupils (96, 97)"}
    return {
        "protocol": (
            "NME: mean over faces of the mean point error by the distance of the "
            f"{units[normalizer]}, per cent; failure above {metrics.THRESHOLD:.2f}; "
            f"AUC to {metrics.THRESHOLD:.2f}"
        ),
        "subsets": subsets,
    }, errors


def claim(out: pathlib.Path, *, inputs: Iterable[str | pathlib.Path] = ()) -> None:
    """Refuse a folder where the benchmark's files would replace those of others.

    Args:
        out: folder of the run.
        inputs: files that the run reads.

    Raises:
        OSError: a file, or a folder, is in the way.
        ValueError: `out` is a file, or predictions.npz is none.
    """
    written = [*(out / name for name in (METRICS, TABLE, CURVE)), *_largest(out)]
    own_files.claim_results(
        out, written, out / PREDICTIONS, load_predictions, inputs=inputs
    )


def _largest(out: pathlib.Path) -> list[pathlib.Path]:
    """Return the pictures of the largest errors, as far as they are there."""
    return [out / f"{LARGEST}.png", *(out / LARGEST).glob("[0-9][0-9]*_*.png")]


def write_scores(
    out: str | pathlib.Path,
    scores: dict[str, Any],
    errors: np.ndarray,
    predictions: Predictions,
    settings: dict[str, Any],
) -> None:
    """Write `metrics.json`, `faces.csv` and `error_curve.png` into a folder."""
    out = pathlib.Path(out)
    rows = []
    for name, error, flags in zip(predictions.names, errors, predictions.attributes):
        shown = ["" if flag < 0 else int(flag) for flag in flags]
        row = {"face": str(name), "error_percent": float(100 * error)}
        rows.append(row | dict(zip(ATTRIBUTES, shown, strict=True)))
    own_files.write_text(out / TABLE, csv_text(rows))
    content = json.dumps({**scores, "settings": settings}, indent=2)
    own_files.write_text(out / METRICS, content + "\n")
    own_files.write_bytes(out / CURVE, charts.png(charts.error_curve({"all": errors})))


def draw_largest(
    out: str | pathlib.Path,
    faces: Sequence[Face],
    errors: np.ndarray,
    predictions: Predictions,
    *,
    count: int,
) -> None:
    """Draw the faces with the largest errors, one file each and all in one sheet.

    Args:
        out: folder; the sheet is `largest_errors.png`, the files are in
            `largest_errors/`. A picture bears rank, error and flags, its file's name
            rank and face.
        faces: of the predictions, in any order.
        errors: `[N]`.
        predictions: predicted red, annotated green.
        count: how many.
    """
    out = pathlib.Path(out)
    for path in _largest(out):
        own_files.remove(path)  # of an earlier run
    images = {face.name: face.image for face in faces}
    drawn = []
    for rank, row in enumerate(np.argsort(-errors, kind="stable")[:count], 1):
        name = str(predictions.names[row])
        image = to_rgb8(read_image(images[name]))
        try:
            planes = [
                crop_face(plane, predictions.boxes[row], 256, scale=1.5 * BOX_SCALE)
                for plane in np.moveaxis(image.astype(np.float32) / 255, 2, 0)
            ]
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        flags = [a for a, f in zip(ATTRIBUTES, predictions.attributes[row]) if f == 1]
        caption = [f"{rank}: {100 * errors[row]:.1f} %"]
        caption += [", ".join(flags[:3]), ", ".join(flags[3:])]
        picture = pictures.face_picture(
            np.rint(np.stack([p.image for p in planes], 2) * 255).astype(np.uint8),
            planes[0].from_picture(predictions.predicted[row]),
            planes[0].from_picture(predictions.truth[row]),
            caption="\n".join(part for part in caption if part),
        )
        drawn.append(picture)
        stem = pathlib.Path(name.rpartition("/")[2].replace("#", "_face"))
        own_files.write_bytes(
            out / LARGEST / f"{rank:02d}_{stem}.png", encode_png(picture)
        )
    if drawn:
        sheet = pictures.sheet(drawn, columns=4)
        own_files.write_bytes(out / f"{LARGEST}.png", encode_png(sheet))

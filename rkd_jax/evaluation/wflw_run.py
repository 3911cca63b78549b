"""WFLW in two loops: predict and save, then score what was saved, in NumPy alone."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.wflw import Face
from rkd_jax.files import own_files
from rkd_jax.files.atomic import read_predictions, refuse_other_settings
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.reading import read_image
from rkd_jax.metrics import landmarks as metrics
from rkd_jax.synthetic.faces.points import ATTRIBUTES, COUNT
from rkd_jax.tasks.faces import pictures
from rkd_jax.tasks.faces.crops import BOX_SCALE, crop_face

PREDICTIONS = "predictions.npz"
METRICS = "metrics.json"
TABLE = "faces.csv"
CURVE = "error_curve.png"
LARGEST = "largest_errors"
_CHUNK, _SAVE_EVERY_S = 16, 20.0


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions:
    """All that scoring needs to know about some faces.

    Attributes:
        names: `[N]`, see `rkd_jax.data.wflw.Face`.
        predicted: `[N, 98, 2]` px of the pictures.
        truth: likewise.
        boxes: `[N, 4]`.
        attributes: int8 `[N, 6]`: 0 or 1, or -1 where the list gives none.
        images: `[N]` SHA-256 of the pictures' files.
    """

    names: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    boxes: np.ndarray
    attributes: np.ndarray
    images: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @staticmethod
    def join(parts: Sequence[Predictions]) -> Predictions:
        """Return the faces of all parts, in order."""
        fields = [field.name for field in dataclasses.fields(Predictions)]
        return Predictions(
            **{f: np.concatenate([getattr(p, f) for p in parts]) for f in fields}
        )

    def of(self, faces: Sequence[Face]) -> Predictions:
        """Return those of a list, in its order; all of them must be there."""
        rows = {str(name): row for row, name in enumerate(self.names)}
        return self.take(np.array([rows[face.name] for face in faces], int))

    def take(self, rows: np.ndarray) -> Predictions:
        """Return some of the faces."""
        fields = [field.name for field in dataclasses.fields(Predictions)]
        return Predictions(**{f: getattr(self, f)[rows] for f in fields})


def mean_face(faces: Sequence[Face]) -> np.ndarray:
    """Return the mean of the points relative to their boxes, `[98, 2]`.

    The origin is a box's centre, the unit its longer side: the trivial baseline.

    Raises:
        ValueError: no faces.
    """
    if not faces:
        raise ValueError("no faces to average: the mean face needs a training list")
    shapes = []
    for face in faces:
        middle, side = _frame(face.box)
        shapes.append((face.points - middle) / side)
    return np.mean(shapes, axis=0)


def place_mean_face(shape: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return a mean face put into boxes `[N, 4]`: `[N, 98, 2]` px."""
    frames = [_frame(box) for box in boxes]
    return np.stack([middle + side * shape for middle, side in frames])


def _frame(box: np.ndarray) -> tuple[np.ndarray, float]:
    return (box[:2] + box[2:]) / 2, float((box[2:] - box[:2]).max())


def predict(
    faces: Sequence[Face],
    align: Callable[[list[Any], np.ndarray], np.ndarray],
    path: str | pathlib.Path,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Predictions:
    """Find the points of all faces, saving the predictions as it goes.

    Faces that the file has from the same settings, image, box, annotation and flags are
    not looked at again; those of other lists stay in it.

    Args:
        faces: of a list.
        align: `(pictures, boxes [N, 4]) -> points [N, 98, 2]` in px of the pictures.
        path: the `.npz` file.
        settings: all that the predictions depend on besides the faces; JSON-like.
        overwrite: drop predictions of other settings; else they are refused.
        progress: called with (faces done, faces in all, name).

    Returns:
        The predictions of `faces`, in their order.

    Raises:
        ValueError: the file holds predictions from other settings.
    """
    path = pathlib.Path(path)
    known = None if overwrite else _finished(path, settings)
    done = {} if known is None else {str(n): i for i, n in enumerate(known.names)}
    saved_at = time.monotonic()
    digests: dict[pathlib.Path, str] = {}
    wanted = {face.name for face in faces}
    kept = [row for name, row in done.items() if name not in wanted]
    others, left = len(kept), []
    for face in faces:
        if face.image not in digests:
            digests[face.image] = own_files.digest(face.image)
        row = done.get(face.name)
        same = row is not None and (
            known.images[row] == digests[face.image]
            and np.array_equal(known.truth[row], face.points)
            and np.array_equal(known.boxes[row], face.box)
            and np.array_equal(known.attributes[row], _flags(face))
        )
        kept.append(row) if same else left.append(face)
    parts = [known.take(np.array(kept, int))] if kept else []
    unsaved = False
    try:
        for start in range(0, len(left), _CHUNK):
            chunk = left[start : start + _CHUNK]
            if progress is not None:
                progress(len(kept) - others + start, len(faces), chunk[0].name)
            parts.append(_aligned(chunk, align, digests))
            unsaved = True
            # The whole file is written anew each time.
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                save_predictions(path, settings, Predictions.join(parts))
                saved_at, unsaved = time.monotonic(), False
    finally:  # also of what is done when Ctrl-C or an error ends the run
        if unsaved:
            save_predictions(path, settings, Predictions.join(parts))
    if progress is not None:
        progress(len(faces), len(faces), "")
    return Predictions.join(parts).of(faces)


def _aligned(
    chunk: Sequence[Face],
    align: Callable[[list[Any], np.ndarray], np.ndarray],
    digests: dict[pathlib.Path, str],
) -> Predictions:
    """Find the points of some faces."""
    boxes = np.stack([face.box for face in chunk])
    try:
        found = align([face.image for face in chunk], boxes)
    except Exception as error:
        if not any(str(face.image) in str(error) for face in chunk):
            error.add_note(f"one of {chunk[0].name} to {chunk[-1].name}")
        raise
    return Predictions(
        names=np.array([face.name for face in chunk]),
        predicted=np.asarray(found, np.float64),
        truth=np.stack([face.points for face in chunk]),
        boxes=boxes,
        attributes=np.stack([_flags(face) for face in chunk]),
        images=np.array([digests[face.image] for face in chunk]),
    )


def _flags(face: Face) -> np.ndarray:
    if face.attributes is None:
        return np.full(len(ATTRIBUTES), -1, np.int8)
    return face.attributes.astype(np.int8)


def _finished(path: pathlib.Path, settings: dict[str, Any]) -> Predictions | None:
    """Return the predictions in a file, if there is one; refuse other settings."""
    if not path.exists():
        return None
    old, predictions = load_predictions(path)
    refuse_other_settings(path, old, settings)
    return predictions


def save_predictions(
    path: str | pathlib.Path, settings: dict[str, Any], predictions: Predictions
) -> None:
    """Write predictions to an `.npz` file, wholly or not at all."""
    with own_files.replacing(path) as part:
        np.savez_compressed(
            part, settings=np.array(json.dumps(settings)), **vars(predictions)
        )


def load_predictions(path: str | pathlib.Path) -> tuple[dict[str, Any], Predictions]:
    """Read what `save_predictions` wrote: settings and predictions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of predictions.
    """
    return read_predictions(path, _predictions)


def _predictions(arrays: dict[str, np.ndarray]) -> Predictions:
    fields = [field.name for field in dataclasses.fields(Predictions)]
    predictions = Predictions(**{name: arrays[name] for name in fields})
    if predictions.predicted.shape != (len(predictions), COUNT, 2):
        raise ValueError(f"predictions of shape {predictions.predicted.shape}")
    return predictions


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
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["face", "error_percent", *ATTRIBUTES])
    for name, error, flags in zip(predictions.names, errors, predictions.attributes):
        shown = ["" if flag < 0 else int(flag) for flag in flags]
        writer.writerow([name, f"{100 * error:.3f}", *shown])
    own_files.write_text(out / TABLE, text.getvalue())
    content = json.dumps({**scores, "settings": settings}, indent=2)
    own_files.write_text(out / METRICS, content + "\n")
    save_picture(out / CURVE, pictures.error_curve({"all": errors}))


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
        image = read_image(images[name])
        if image.dtype != np.uint8:
            image = np.rint(image * 255).astype(np.uint8)
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=2)
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
        save_picture(out / LARGEST / f"{rank:02d}_{stem}.png", picture)
    if drawn:
        save_picture(out / f"{LARGEST}.png", pictures.sheet(drawn, columns=4))


def save_picture(path: pathlib.Path, picture: np.ndarray) -> None:
    """Write a uint8 RGB picture as PNG, wholly or not at all."""
    own_files.write_bytes(path, encode_png(picture))

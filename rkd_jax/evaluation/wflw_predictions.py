"""Points of faces, found, saved as it goes, and read again."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.wflw import Face
from rkd_jax.evaluation.predictions import (
    Rows,
    read_predictions,
    refuse_other_settings,
)
from rkd_jax.files import own_files
from rkd_jax.runtime.many import progress, saving
from rkd_jax.synthetic.faces.points import ATTRIBUTES, COUNT

_CHUNK = 16

Align = Callable[[list[Any], np.ndarray], np.ndarray]
"""`(pictures, boxes [N, 4]) -> points [N, 98, 2]` in px of the pictures."""


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions(Rows):
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

    def of(self, faces: Sequence[Face]) -> Predictions:
        """Return those of a list, in its order; all of them must be there."""
        rows = {str(name): row for row, name in enumerate(self.names)}
        return self.take([rows[face.name] for face in faces])


def predict(
    faces: Sequence[Face],
    align: Align,
    path: str | pathlib.Path,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
) -> Predictions:
    """Find the points of all faces, saving the predictions as it goes.

    Faces that the file has from the same settings, image, box, annotation and flags are
    not aligned again; those of other lists stay in it.

    Args:
        faces: of a list.
        align: finds the points.
        path: the `.npz` file.
        settings: all that the predictions depend on besides the faces; JSON-like.
        overwrite: drop predictions of other settings; else they are refused.

    Returns:
        The predictions of `faces`, in their order.

    Raises:
        ValueError: the file holds predictions from other settings.
    """
    path = pathlib.Path(path)
    known = None if overwrite else _finished(path, settings)
    images = {face.image for face in faces}
    digests = {image: own_files.digest(image) for image in images}
    parts, left = _still_valid(known, faces, digests)

    def save() -> None:
        save_predictions(path, settings, Predictions.join(parts))

    chunks = [left[start : start + _CHUNK] for start in range(0, len(left), _CHUNK)]
    with saving(save) as changed:
        for chunk in progress(chunks, f"{_CHUNK} face"):
            parts.append(_aligned(chunk, align, digests))
            changed()
    return Predictions.join(parts).of(faces)


def _still_valid(
    known: Predictions | None,
    faces: Sequence[Face],
    digests: Mapping[pathlib.Path, str],
) -> tuple[list[Predictions], list[Face]]:
    """Return the predictions to keep, of other lists too, and the faces left."""
    if known is None:
        return [], list(faces)
    row_of = {str(name): row for row, name in enumerate(known.names)}
    wanted = {face.name for face in faces}
    kept = [row for name, row in row_of.items() if name not in wanted]
    left = []
    for face in faces:
        row = row_of.get(face.name)
        same = row is not None and (
            known.images[row] == digests[face.image]
            and np.array_equal(known.truth[row], face.points)
            and np.array_equal(known.boxes[row], face.box)
            and np.array_equal(known.attributes[row], _flags(face))
        )
        kept.append(row) if same else left.append(face)
    return ([known.take(kept)] if kept else []), left


def _aligned(
    chunk: Sequence[Face],
    align: Align,
    digests: Mapping[pathlib.Path, str],
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

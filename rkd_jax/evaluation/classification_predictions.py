"""Logits of images, computed, saved as it goes, and read again.

`predictions.npz` has the rows of a table of networks: for each the names and SHA-256 of
its images, their logits, and their distances to the training data.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from rkd_jax.classification.classifier import Classifier
from rkd_jax.data.class_data import ClassData, Labeled
from rkd_jax.evaluation.classification_data import digest_of
from rkd_jax.evaluation.predictions import (
    Rows,
    read_predictions,
    refuse_other_settings,
)
from rkd_jax.files import own_files
from rkd_jax.runtime.many import progress, saving

_CHUNK = 16  # images of a batch: a shape, so one compiled program
_READERS = 4


@dataclasses.dataclass(frozen=True, eq=False)
class Predictions(Rows):
    """What one network says of some images.

    Attributes:
        names: `[N]`.
        images: `[N]` SHA-256 of them.
        logits: float32 `[N, C]`.
        distances: `[N, 2]`: distance to the training data, and the share of the
            validation images that lie nearer; NaN where the weights do not know it.
    """

    names: np.ndarray
    images: np.ndarray
    logits: np.ndarray
    distances: np.ndarray


def predict(
    classifiers: Mapping[str, Classifier],
    data: ClassData,
    path: pathlib.Path,
    *,
    overwrite: bool = False,
) -> dict[str, Predictions]:
    """Predict all images by all networks, saving as it goes.

    What the file has of a row from the same weights and the same image is not computed
    again. Rows and images that are not asked for stay in it.

    Args:
        classifiers: row -> network.
        data: the images.
        path: the `.npz` file.
        overwrite: drop rows of other weights; else they are refused.

    Returns:
        row -> predictions in the order of the images.

    Raises:
        OSError, ValueError: an image cannot be read, or the file holds a row of one of
            these names from other weights.
    """
    digests = [digest_of(item) for item in progress(data.items, "image")]
    facts = {row: one.facts() for row, one in classifiers.items()}
    saved: dict[str, list[Predictions]] = {}
    if path.exists():
        old, known = load_predictions(path)
        for row, settings in old["rows"].items():
            if row in facts and overwrite:
                continue
            if row in facts:
                refuse_other_settings(path, {row: settings}, {row: facts[row]})
            facts.setdefault(row, settings)
            saved[row] = [known[row]]

    def save() -> None:
        joined = {row: Predictions.join(parts) for row, parts in saved.items()}
        save_predictions(path, {row: facts[row] for row in joined}, joined)

    with saving(save) as changed:
        for row, classifier in classifiers.items():
            left = _left(saved, row, data.names, digests)
            chunks = [left[at : at + _CHUNK] for at in range(0, len(left), _CHUNK)]
            for chunk in progress(chunks, f"{row}: {_CHUNK} image"):
                items = [data.items[number] for number in chunk]
                images = [digests[number] for number in chunk]
                saved.setdefault(row, []).append(_predicted(classifier, items, images))
                changed()
    found = {}
    for row in classifiers:
        whole = Predictions.join(saved[row])
        row_of = {str(name): at for at, name in enumerate(whole.names)}
        found[row] = whole.take([row_of[name] for name in data.names])
    return found


def _left(
    saved: dict[str, list[Predictions]],
    row: str,
    names: Sequence[str],
    digests: Sequence[str],
) -> list[int]:
    """Return the numbers of the images that are not predicted; drop changed ones."""
    if row not in saved:
        return list(range(len(names)))
    (known,) = saved[row]
    images = dict(zip(map(str, known.names), map(str, known.images), strict=True))
    wanted = dict(zip(names, digests, strict=True))
    same = [wanted.get(name, image) == image for name, image in images.items()]
    saved[row] = [known.take(np.flatnonzero(same))]
    return [
        at
        for at, (name, digest) in enumerate(zip(names, digests, strict=True))
        if images.get(name) != digest
    ]


def _predicted(
    classifier: Classifier, items: Sequence[Labeled], images: Sequence[str]
) -> Predictions:
    """Predict some images, at most `_CHUNK`."""

    def square(item: Labeled) -> np.ndarray:
        try:
            return classifier.square_of(item.read())
        except Exception as error:
            if item.name not in str(error):
                error.add_note(f"image {item.name}")
            raise

    with ThreadPoolExecutor(_READERS) as readers:
        squares = np.stack(list(readers.map(square, items)))
    count = len(squares)
    padded = np.pad(squares, [(0, _CHUNK - count), *[(0, 0)] * 3])
    outputs = classifier.outputs(padded)
    far = classifier.distances(outputs.features[:count])
    return Predictions(
        names=np.array([item.name for item in items]),
        images=np.array(images),
        logits=outputs.logits[:count],
        distances=np.full((count, 2), np.nan) if far is None else far,
    )


def save_predictions(
    path: pathlib.Path,
    facts: Mapping[str, Mapping[str, Any]],
    predictions: Mapping[str, Predictions],
) -> None:
    """Write predictions to an `.npz` file, wholly or not at all.

    Args:
        path: the file.
        facts: row -> all that its predictions depend on besides the images; JSON-like.
        predictions: of the same rows; arrays are named by the number of the row.
    """
    arrays: dict[str, np.ndarray] = {
        f"{number}_{name}": array
        for number, row in enumerate(facts)
        for name, array in vars(predictions[row]).items()
    }
    settings = np.array(json.dumps({"rows": facts}))
    with own_files.replacing(path) as part:
        np.savez_compressed(part, settings=settings, **arrays)


def load_predictions(
    path: str | pathlib.Path,
) -> tuple[dict[str, Any], dict[str, Predictions]]:
    """Read what `save_predictions` wrote: settings, and the predictions of each row.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of predictions.
    """
    return read_predictions(path, _predictions)


def _predictions(arrays: dict[str, np.ndarray]) -> dict[str, Predictions]:
    fields = [field.name for field in dataclasses.fields(Predictions)]
    rows = json.loads(str(arrays["settings"]))["rows"]
    found = {}
    for number, row in enumerate(rows):
        one = Predictions(**{name: arrays[f"{number}_{name}"] for name in fields})
        lengths = {len(getattr(one, name)) for name in fields}
        if len(lengths) > 1 or one.logits.ndim != 2 or one.distances.ndim != 2:
            raise ValueError(f"arrays of row {row} that do not fit")
        found[row] = one
    return found

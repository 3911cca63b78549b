"""Predictions of a benchmark: saved, so that scoring needs no network and no images."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.registration.files.pairs import Pair

if TYPE_CHECKING:  # the class brings JAX along, which scoring does not need
    from rkd_jax.registration.result import Registration

T = TypeVar("T")
PREDICTIONS = "predictions.npz"
METRICS = "metrics.json"
TABLE = "pairs.csv"

# Per pair of any length: joined in the file.
_RAGGED = {
    *("points_fixed", "points_moving", "inliers"),
    *("control_true", "control_predicted", "control_expected"),
}
_DAMAGED_NPZ = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError),
    # A version or a cipher that `zipfile` does not know; what is no archive, or half.
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)


class Rows:
    """Predictions of some items: a dataclass of arrays, each with a row for an item.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Grades(Rows):
    ...     names: np.ndarray
    >>> both = Grades.join([Grades(np.array(["a", "b"])), Grades(np.array(["c"]))])
    >>> len(both), both.take([2, 0]).names.tolist()
    (3, ['c', 'a'])
    """

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the items of all parts, in order."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    def take(self, rows: Sequence[int] | np.ndarray) -> Self:
        """Return some of the items, by their numbers."""
        at = np.asarray(rows, int)
        return type(self)(*(column[at] for column in vars(self).values()))


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """All that scoring needs to know about one pair.

    Attributes:
        name: such as "S01".
        failed: True if no transform could be fitted.
        ok: whether the matcher accepts the transform; landmark scores ignore it.
        reason: why not.
        confidence: 0 to 1.
        transform: JSON of the transform, "null" if failed.
        images: SHA-256 of the files of the fixed and the moving image.
        points_fixed: `[M, 2]` matches.
        points_moving: `[M, 2]` matches.
        inliers: `[M]` bool.
        control_true: `[N, 4]` annotation x_fixed, y_fixed, x_moving, y_moving.
        control_predicted: `[N, 2]` moving control points mapped to the fixed image,
            NaN if failed.
        control_expected: `[N, 2]` their expected error and its bound in pixels of the
            fixed file, NaN where not known.
    """

    name: str
    failed: bool
    ok: bool
    reason: str
    confidence: float
    transform: str
    images: tuple[str, str]
    points_fixed: np.ndarray
    points_moving: np.ndarray
    inliers: np.ndarray
    control_true: np.ndarray
    control_predicted: np.ndarray
    control_expected: np.ndarray

    @property
    def family(self) -> str:
        """Family of the transform, empty if failed."""
        return "" if self.failed else json.loads(self.transform)["family"]


def prediction_of(
    pair: Pair,
    images: tuple[str, str],
    registration: Registration,
    control: np.ndarray,
) -> Prediction:
    """Write down a registration as a prediction.

    Args:
        pair: that was registered.
        images: SHA-256 of its files.
        registration: what came out.
        control: annotation `[N, 4]`: x_fixed, y_fixed, x_moving, y_moving.
    """
    transform = registration.transform
    if transform is None:
        mapped = np.full((len(control), 2), np.nan)
    else:
        mapped = transform.apply(control[:, 2:])
    expected = np.full((len(control), 2), np.nan)
    if registration.error_map is not None:
        expected = np.stack(registration.error_map.at(mapped), axis=-1)
    return Prediction(
        name=pair.name,
        failed=transform is None,
        ok=registration.ok,
        reason=registration.reason,
        confidence=registration.confidence,
        transform=json.dumps(None if transform is None else transform.to_dict()),
        images=images,
        points_fixed=registration.matches.points_fixed,
        points_moving=registration.matches.points_moving,
        inliers=registration.inliers,
        control_true=control,
        control_predicted=mapped,
        control_expected=expected,
    )


def save_predictions(
    path: str | pathlib.Path,
    settings: dict[str, Any],
    predictions: Sequence[Prediction],
) -> None:
    """Write predictions to an `.npz` file, wholly or not at all.

    Arrays of any length per pair are joined; "<name>_count" tells how to part them.
    """
    arrays: dict[str, np.ndarray] = {"settings": np.array(json.dumps(settings))}
    for field in dataclasses.fields(Prediction):
        values = [getattr(prediction, field.name) for prediction in predictions]
        if field.name in _RAGGED:
            arrays[f"{field.name}_count"] = np.array([len(v) for v in values], int)
            arrays[field.name] = np.concatenate(values)
        else:
            arrays[field.name] = np.array(values)
    with own_files.replacing(path) as part:
        np.savez_compressed(part, **arrays)


def load_predictions(
    path: str | pathlib.Path,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Read what `save_predictions` wrote: settings and predictions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of predictions.
    """
    return read_predictions(path, _predictions)


def _predictions(arrays: dict[str, np.ndarray]) -> list[Prediction]:
    """Part what `save_predictions` joined."""
    if "control_expected" not in arrays:  # version 0.2.0 expected no error
        count = arrays["control_true_count"]
        unknown = np.full((int(count.sum()), 2), np.nan)
        arrays = {**arrays, "control_expected": unknown}
        arrays["control_expected_count"] = count
    columns = []
    for field in dataclasses.fields(Prediction):
        values = arrays[field.name]
        if field.name in _RAGGED:
            ends = np.cumsum(arrays[f"{field.name}_count"])
            columns.append(np.split(values, ends[:-1]))
        elif field.name == "images":
            columns.append([tuple(map(str, row)) for row in values])
        else:
            columns.append(values.tolist())
    return [Prediction(*row) for row in zip(*columns, strict=True)]


def refuse_other_settings(
    path: str | os.PathLike[str], saved: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    """Refuse to go on with predictions that other settings made.

    Args:
        path: file of the predictions, for the message.
        saved: settings in the file, as JSON reads them.
        wanted: settings of this run.

    Raises:
        ValueError: they differ; the message names each key with both values.

    >>> refuse_other_settings("a.npz", {"sizes": [1, 2]}, {"sizes": (1, 2)})
    >>> refuse_other_settings("a.npz", {"k": 1}, {"k": 2})
    Traceback (most recent call last):
    ...
    ValueError: a.npz holds predictions from other settings (k: 1 there, 2 now); ...
    """
    wanted = json.loads(json.dumps(wanted))
    changed = [
        f"{key}: {saved.get(key)!r} there, {wanted.get(key)!r} now"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    ]
    if changed:
        raise ValueError(
            f"{path} holds predictions from other settings ({'; '.join(changed)}); "
            "choose another --out, or pass --overwrite"
        )


def read_predictions(
    path: str | os.PathLike[str], parse: Callable[[dict[str, np.ndarray]], T]
) -> tuple[dict[str, Any], T]:
    """Read a file of predictions: its settings, and what `parse` makes of its arrays.

    Args:
        path: an `.npz` file with the settings as JSON in "settings".
        parse: may fail on arrays that are missing or do not fit, like a reader does.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a complete file of predictions.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of predictions")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(str(arrays["settings"])), parse(arrays)
    except _DAMAGED_NPZ as error:
        raise ValueError(
            f"{path}: not a complete file of predictions ({error}); delete it, or "
            "choose another --out"
        ) from None


def claim(out: pathlib.Path, *, inputs: Iterable[str | pathlib.Path] = ()) -> None:
    """Refuse a folder where a benchmark's files would replace those of others.

    Args:
        out: folder of the run.
        inputs: files that the run reads.

    Raises:
        OSError: a file, or a folder, is in the way.
        ValueError: `out` is a file, or predictions.npz is none.
    """
    written = [out / TABLE, out / METRICS]
    own_files.claim_results(
        out, written, out / PREDICTIONS, load_predictions, inputs=inputs
    )


def write_scores(
    out: str | pathlib.Path,
    metrics: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    settings: dict[str, Any],
) -> None:
    """Write `metrics.json` and `pairs.csv` into a folder."""
    out = pathlib.Path(out)
    own_files.write_text(out / TABLE, csv_text(rows))
    content = json.dumps({**metrics, "settings": settings}, indent=2)
    own_files.write_text(out / METRICS, content + "\n")

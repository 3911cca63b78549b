"""Registrations of many pairs, saved after each one so that scoring needs no network.

A benchmark names its pairs (`Pair`), `predict` registers what is not done yet and
saves, and the benchmark scores the saved file (fire_benchmark.py,
multimodal_benchmark.py, unrelated_benchmark.py).
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.files.atomic import read_predictions, refuse_other_settings
from rkd_jax.files.own_files import digest
from rkd_jax.registration.base import BaseMatcher, View
from rkd_jax.registration.fitting.calibrate import calibrate
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.result import Registration
from rkd_jax.runtime.command import portable

PREDICTIONS = "predictions.npz"
METRICS = "metrics.json"
TABLE = "pairs.csv"

_RAGGED = {  # per pair, of any length: name in the file -> columns
    "points_fixed": 2,
    "points_moving": 2,
    "inliers": 0,
    "control_true": 4,
    "control_predicted": 2,
}
# How a pair is registered; of a run's settings, these go to `matcher.register`.
METHOD = ("transform", "estimator", "guided", "two_pass")
_OF_CAMERA = ("curvature", "calibrated_on")


@dataclasses.dataclass(frozen=True)
class Pair:
    """One pair of a benchmark on disk.

    Attributes:
        name: unique, such as "S01".
        fixed: path of the image whose frame is kept.
        moving: path of the other one.
    """

    name: str
    fixed: pathlib.Path
    moving: pathlib.Path

    def landmarks(self) -> np.ndarray:
        """Return the annotation `[N, 4]`: x_fixed, y_fixed, x_moving, y_moving."""
        return np.zeros((0, 4))

    def source(self) -> pathlib.Path:
        """Return what to name where the annotation is wrong."""
        return self.fixed


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """All that scoring needs to know about one pair.

    Attributes:
        name: such as "S01".
        failed: True if no transform could be fitted.
        ok: whether the matcher believes the transform; landmark scores ignore it.
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

    @property
    def family(self) -> str:
        """Family of the transform, empty if failed."""
        return "" if self.failed else json.loads(self.transform)["family"]


def _predict(
    pair: Pair,
    images: tuple[str, str],
    registration: Registration,
    control: np.ndarray,
) -> Prediction:
    """Write down a registration as a prediction."""
    transform = registration.transform
    if transform is None:
        mapped = np.full((len(control), 2), np.nan)
    else:
        mapped = transform.apply(control[:, 2:])
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
    )


class _Photographs:
    """Views of the photographs of pairs: each is looked at once, kept while needed."""

    def __init__(
        self, matcher: BaseMatcher, digests: dict[str, tuple[str, str]], rounds: int
    ) -> None:
        self._matcher, self._digests = matcher, digests
        self._views: dict[str, View] = {}
        self._uses = collections.Counter(
            d for images in digests.values() for d in images for _ in range(rounds)
        )

    def of(self, pair: Pair) -> tuple[View, View]:
        """Return the views of a pair."""
        images = self._digests[pair.name]
        for name, path in zip(images, (pair.fixed, pair.moving), strict=True):
            if name not in self._views:
                (self._views[name],) = self._matcher.view(path)
        return self._views[images[0]], self._views[images[1]]

    def done(self, pair: Pair) -> None:
        """Forget the views that no later pair needs."""
        images = self._digests[pair.name]
        self._uses.subtract(images)
        for name in images:
            if self._uses[name] <= 0:
                self._views.pop(name, None)


def predict(
    pairs: Sequence[Pair],
    matcher: BaseMatcher,
    path: str | pathlib.Path,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[Prediction]:
    """Register all pairs and save the predictions after each one.

    Pairs that the file has from the same settings and images are not run again. The
    same photograph under several names is looked at once.

    Args:
        pairs: what to register.
        matcher: how.
        path: the `.npz` file.
        settings: of the whole run, JSON-like, with the keys of `METHOD`, which go to
            `matcher.register`, and "camera": "each" (nothing is known of any pair's
            camera) or "shared" (one took them all: every pair is registered twice,
            and k of the second time comes from the matches of all the first time).
        overwrite: drop predictions of other settings; else they are refused.
        progress: called with (pairs done, pairs in all, name).

    Raises:
        ValueError: the file holds predictions from other settings, or a control point
            lies outside its image.
    """
    path = pathlib.Path(path)
    done, camera = ({}, None) if overwrite else _finished(path, settings)
    digests = {pair.name: (digest(pair.fixed), digest(pair.moving)) for pair in pairs}
    for name, images in digests.items():
        if name in done and done[name].images != images:
            del done[name]
    controls = {pair.name: pair.landmarks() for pair in pairs}
    shared = settings.get("camera", "each") == "shared"
    names = sorted(digests)
    if shared and (
        camera is None
        or camera["calibrated_on"] != names
        or not done.keys() >= set(names)
    ):
        done, camera = {}, None
    left = [pair for pair in pairs if pair.name not in done]
    stages = 2 if shared and camera is None else 1
    photographs = _Photographs(matcher, {p.name: digests[p.name] for p in left}, stages)
    how = {name: settings[name] for name in METHOD}
    total, count = len(pairs) * stages, (len(pairs) - len(left)) * stages

    def registered(curvature: Curvature | None) -> Iterator[tuple[Pair, Registration]]:
        nonlocal count
        for pair in left:
            if progress is not None:
                progress(count, total, pair.name)
            try:
                views = photographs.of(pair)
                sizes = [view.prepared.file_size for view in views]
                check_inside(controls[pair.name], sizes, pair.source())
                result = matcher.register(*views, **how, curvature=curvature)
            except Exception as error:
                named = (pair.fixed, pair.moving, pair.source())
                if not any(str(path) in str(error) for path in named):
                    error.add_note(f"{pair.name}: {pair.fixed}, {pair.moving}")
                raise
            yield pair, result
            photographs.done(pair)
            count += 1

    if stages == 2:
        found = calibrate([result for _, result in registered(None)])
        camera = {
            "curvature": dataclasses.asdict(found),
            "calibrated_on": names,
        }
    whole = {**settings, **(camera or {})}
    curvature = Curvature(**camera["curvature"]) if camera else None
    for pair, registration in registered(curvature):
        images = digests[pair.name]
        done[pair.name] = _predict(pair, images, registration, controls[pair.name])
        save_predictions(path, whole, [done[name] for name in sorted(done)])
    if progress is not None:
        progress(total, total, "")
    return [done[pair.name] for pair in pairs]


def check_inside(
    control: np.ndarray, sizes: Sequence[tuple[int, int]], path: pathlib.Path
) -> None:
    """Refuse control points `[N, 4]` more than a pixel outside (height, width)s."""
    for columns, (height, width) in zip(((0, 1), (2, 3)), sizes, strict=True):
        points = control[:, columns]
        outside = ((points < -1) | (points > (width, height))).any(axis=1)
        if outside.any():
            x, y = points[outside.argmax()]
            raise ValueError(
                f"{path}: point {outside.argmax() + 1} at ({x:g}, {y:g}) lies outside "
                f"its image of {width}x{height} px; correct the line"
            )


def _finished(
    path: pathlib.Path, settings: dict[str, Any]
) -> tuple[dict[str, Prediction], dict[str, Any] | None]:
    """Return the predictions in a file by name, and its camera; refuse others."""
    if not path.exists():
        return {}, None
    old, predictions = load_predictions(path)
    camera = {key: old.pop(key) for key in _OF_CAMERA if key in old}
    refuse_other_settings(path, old, settings)
    return {prediction.name: prediction for prediction in predictions}, camera or None


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


def table_text(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of equal keys as the text of a CSV file; floats with 3 decimals."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        shown = {k: f"{v:.3f}" if type(v) is float else v for k, v in row.items()}
        writer.writerow(shown)
    # Names of files may hold bytes that are no text.
    return portable(text.getvalue()).encode("utf-8", "backslashreplace").decode()


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
    own_files.write_text(out / TABLE, table_text(rows))
    content = json.dumps({**metrics, "settings": settings}, indent=2)
    own_files.write_text(out / METRICS, content + "\n")

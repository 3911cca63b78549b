"""FIRE in two loops: predict and save, then score what was saved, in NumPy alone.

Layout: `FIRE/Images/<pair>_<1|2>.jpg` and
`FIRE/Ground Truth/control_points_<pair>_1_2.txt`; image 1 (reference) is fixed, image
2 (query) is moving. Any subset of the benchmark will do.
"""

from __future__ import annotations

import collections
import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rkd_jax.files import atomic_path, write_text
from rkd_jax.matching.base import BaseMatcher, View
from rkd_jax.matching.registration import Registration
from rkd_jax.metrics import fire

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


@dataclasses.dataclass(frozen=True)
class FirePair:
    """One pair of the benchmark on disk.

    Attributes:
        name: such as "S01".
        fixed: path of image 1.
        moving: path of image 2.
        control_points: path of the annotation.
    """

    name: str
    fixed: pathlib.Path
    moving: pathlib.Path
    control_points: pathlib.Path


@dataclasses.dataclass(frozen=True, eq=False)
class Prediction:
    """All that scoring needs to know about one pair.

    Attributes:
        name: such as "S01".
        failed: True if no transform could be fitted.
        ok: whether the matcher believes the transform; FIRE's scores ignore it.
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


def _short_name(text: str) -> str:
    """Return "S01" of "S01", "S01_1_2" or "control_points_S01_1_2.txt"."""
    return text.strip().removeprefix("control_points_").split("_")[0].split(".")[0]


def list_pairs(
    data_dir: str | pathlib.Path, names: Sequence[str] | None = None
) -> list[FirePair]:
    """Find the pairs of FIRE below a folder, sorted by name.

    Args:
        data_dir: the folder with `Images` and `Ground Truth`, or its parent.
        names: pairs to take, as "S01" or "control_points_S01_1_2"; None takes all.

    Raises:
        FileNotFoundError: no such folder, no pairs in it, or an image is missing.
        ValueError: a name that is not there, or none at all.
    """
    root = pathlib.Path(data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; give the FIRE folder")
    root = root / "FIRE" if (root / "FIRE").is_dir() else root
    truth = root / "Ground Truth"
    files = sorted(truth.glob("control_points_*_1_2.txt"))
    if not files:
        raise FileNotFoundError(
            f"{truth}: no control_points_<pair>_1_2.txt; expected the layout "
            "FIRE/Images and FIRE/Ground Truth"
        )
    found = {_short_name(path.stem): path for path in files}
    if names is None:
        wanted = list(found)
    else:
        wanted = list(dict.fromkeys(_short_name(name) for name in names))
        missing = [name for name in wanted if name not in found]
        if missing or not wanted:
            raise ValueError(
                f"{truth}: no pairs {missing or '(the list is empty)'}; there are "
                f"{', '.join(found)}"
            )
    pairs = []
    for name in sorted(wanted):
        images = [root / "Images" / f"{name}_{i}.jpg" for i in (1, 2)]
        for image in images:
            if not image.is_file():
                raise FileNotFoundError(
                    f"{image}: image missing; add it, or list other pairs"
                )
        pairs.append(FirePair(name, *images, found[name]))
    return pairs


def _digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _predict(
    pair: FirePair,
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


def predict(
    pairs: Sequence[FirePair],
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
        settings: of the whole run, JSON-like, with "transform", "estimator" and
            "two_pass", which go to `matcher.register`.
        overwrite: drop predictions of other settings; else they are refused.
        progress: called with (pairs done, pairs in all, name).

    Raises:
        ValueError: the file holds predictions from other settings, or a control point
            lies outside its image.
    """
    path = pathlib.Path(path)
    done = {} if overwrite else _finished(path, settings)
    digests = {pair.name: (_digest(pair.fixed), _digest(pair.moving)) for pair in pairs}
    for name, images in digests.items():
        if name in done and done[name].images != images:
            del done[name]
    controls = {p.name: fire.load_control_points(p.control_points) for p in pairs}
    left = [pair for pair in pairs if pair.name not in done]
    uses = collections.Counter(d for pair in left for d in digests[pair.name])
    views: dict[str, View] = {}
    for pair in left:
        if progress is not None:
            progress(len(pairs) - len(left) + left.index(pair), len(pairs), pair.name)
        images = digests[pair.name]
        for digest, source in zip(images, (pair.fixed, pair.moving), strict=True):
            if digest not in views:
                (views[digest],) = matcher.view(source)
        sizes = [views[digest].prepared.file_size for digest in images]
        _check_inside(controls[pair.name], sizes, pair.control_points)
        registration = matcher.register(
            *(views[digest] for digest in images),
            transform=settings["transform"],
            estimator=settings["estimator"],
            two_pass=settings["two_pass"],
        )
        done[pair.name] = _predict(pair, images, registration, controls[pair.name])
        save_predictions(path, settings, [done[name] for name in sorted(done)])
        uses.subtract(images)
        for digest in images:
            if uses[digest] <= 0:
                views.pop(digest, None)
    if progress is not None:
        progress(len(pairs), len(pairs), "")
    return [done[pair.name] for pair in pairs]


def _check_inside(
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


def _finished(path: pathlib.Path, settings: dict[str, Any]) -> dict[str, Prediction]:
    """Return the predictions in a file by name; refuse other settings."""
    if not path.exists():
        return {}
    old, predictions = load_predictions(path)
    new = json.loads(json.dumps(settings))
    changed = [
        f"{key}: {old.get(key)!r} there, {new.get(key)!r} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]
    if changed:
        raise ValueError(
            f"{path} holds predictions from other settings ({'; '.join(changed)}); "
            "choose another --out, or pass --overwrite"
        )
    return {prediction.name: prediction for prediction in predictions}


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
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def load_predictions(
    path: str | pathlib.Path,
) -> tuple[dict[str, Any], list[Prediction]]:
    """Read what `save_predictions` wrote: settings and predictions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of predictions.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of predictions")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
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
        settings = json.loads(str(arrays["settings"]))
        predictions = [Prediction(*row) for row in zip(*columns, strict=True)]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: not a complete file of predictions ({error}); delete it, or "
            "pass --overwrite"
        ) from None
    return settings, predictions


def score(
    predictions: Sequence[Prediction],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score predictions by FIRE's protocol; no network, no images.

    Returns:
        What `rkd_jax.metrics.fire.score` gives, and one row a pair for a table.
    """
    eyes = fire.group_eyes([prediction.images for prediction in predictions])
    results, rows = [], []
    for prediction, eye in zip(predictions, eyes, strict=True):
        errors = None
        if not prediction.failed:
            errors = fire.pair_errors(
                prediction.control_predicted, prediction.control_true[:, :2]
            )
        result = fire.PairResult(
            name=prediction.name,
            failed=prediction.failed,
            errors=errors,
            eye=int(eye),
            n_matches=len(prediction.points_fixed),
            n_inliers=int(prediction.inliers.sum()),
        )
        results.append(result)
        rows.append(
            {
                **fire.pair_row(result),
                "ok": prediction.ok,
                "confidence": round(prediction.confidence, 4),
                "reason": prediction.reason,
            }
        )
    return fire.score(results), rows


def write_scores(
    out: str | pathlib.Path,
    metrics: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    settings: dict[str, Any],
) -> None:
    """Write `metrics.json` and `pairs.csv` into a folder."""
    out = pathlib.Path(out)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        shown = {k: f"{v:.3f}" if type(v) is float else v for k, v in row.items()}
        writer.writerow(shown)
    write_text(out / TABLE, text.getvalue())
    content = json.dumps({**metrics, "settings": settings}, indent=2)
    write_text(out / METRICS, content + "\n")

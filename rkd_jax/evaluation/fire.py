"""FIRE: retinal photographs with control points.

Layout: `FIRE/Images/<pair>_<1|2>.jpg` and
`FIRE/Ground Truth/control_points_<pair>_1_2.txt` (read by `rkd_jax.data.fire`); image 1
(reference) is fixed, image 2 (query) is moving. Any subset of the benchmark will do.

Loop 1 (`pairs.run`) registers and saves, loop 2 (`score`) reads the saved file alone.
AUC and mAUC are computed in `rkd_jax.metrics.fire.score`.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

from rkd_jax.data.fire import load_control_points
from rkd_jax.evaluation import arguments, expected_error, pairs
from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.metrics import fire
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.command import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m rkd_jax.evaluate fire`."""
    arguments.add_folder(parser, "FIRE folder")
    arguments.add_registration(parser)


def run(args: argparse.Namespace) -> int:
    """Register the pairs, score them, write and print the scores."""
    chosen = list_pairs(args.data_dir, arguments.read_names(args.pairs))
    metrics, _ = pairs.run(args, chosen, score, load_control_points)
    say(f"{_table(metrics)}\ncamera: {metrics['camera']}\nwritten to {args.out}")
    return 0


def _short_name(text: str) -> str:
    """Return "S01" of "S01", "S01_1_2" or "control_points_S01_1_2.txt"."""
    return text.strip().removeprefix("control_points_").split("_")[0].split(".")[0]


def list_pairs(
    data_dir: str | pathlib.Path, names: Sequence[str] | None = None
) -> list[Pair]:
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
    found_pairs = []
    for name in sorted(wanted):
        images = [root / "Images" / f"{name}_{i}.jpg" for i in (1, 2)]
        for image in images:
            if not image.is_file():
                raise FileNotFoundError(
                    f"{image}: image missing; add it, or list other pairs"
                )
        found_pairs.append(Pair(name, *images, found[name]))
    return found_pairs


def results(predictions: Sequence[Prediction]) -> list[fire.PairResult]:
    """Compare predictions with the annotation; no network, no images."""
    eyes = fire.group_eyes([prediction.images for prediction in predictions])
    found = []
    for prediction, eye in zip(predictions, eyes, strict=True):
        errors = None
        if not prediction.failed:
            errors = fire.pair_errors(
                prediction.control_predicted, prediction.control_true[:, :2]
            )
        found.append(
            fire.PairResult(
                name=prediction.name,
                failed=prediction.failed,
                errors=errors,
                eye=int(eye),
                n_matches=len(prediction.points_fixed),
                n_inliers=int(prediction.inliers.sum()),
            )
        )
    return found


def score(
    predictions: Sequence[Prediction],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score predictions by FIRE's protocol; no network, no images.

    Returns:
        What `rkd_jax.metrics.fire.score` gives, and one row a pair for a table.
    """
    found = results(predictions)
    rows = [
        {
            **fire.pair_row(result),
            "family": prediction.family,
            "ok": prediction.ok,
            "confidence": round(prediction.confidence, 4),
            "reason": prediction.reason,
        }
        for result, prediction in zip(found, predictions, strict=True)
    ]
    metrics = fire.score(found)
    metrics["expected_error"] = {
        name: expected_error.score(
            [p for p, r in zip(predictions, found, strict=True) if r.category == name]
        )
        for name in fire.CLASSES
    }
    return metrics, rows


def _table(metrics: dict[str, Any]) -> str:
    """Return the scores as text."""
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
    lines += [
        f"{name}: {expected_error.text(numbers)}"
        for name, numbers in metrics["expected_error"].items()
    ]
    return "\n".join(lines)

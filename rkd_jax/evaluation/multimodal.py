"""Pairs across modalities, with landmarks.

Layout: `<id>_fixed.<ext>`, `<id>_moving.<ext>` and `<id>_landmarks.csv` with columns
x_fixed, y_fixed, x_moving, y_moving in pixels of the files.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rkd_jax.evaluation import arguments, expected_error, pairs
from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.files.tables import Row, find_column, number, read_table, refuse_shifted
from rkd_jax.images.image_files import list_images
from rkd_jax.metrics.fire import pair_errors
from rkd_jax.metrics.registration import registration_score
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.runtime.command import say

COLUMNS = ("x_fixed", "y_fixed", "x_moving", "y_moving")
SUCCESS_PX = 5.0  # of the files: the landmarks themselves carry 1 to 5 px


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `python -m rkd_jax.evaluate multimodal`."""
    arguments.add_folder(parser, "folder of the pairs")
    arguments.add_registration(parser)


def run(args: argparse.Namespace) -> int:
    """Register the pairs, score them, write and print the scores."""
    chosen = list_pairs(args.data_dir, arguments.read_names(args.pairs))
    metrics, _ = pairs.run(args, chosen, score, load_landmarks)
    say(
        f"{metrics['success']:.1%} of {metrics['pairs']:.0f} pairs below "
        f"{SUCCESS_PX:g} px, AUC {metrics['auc']:.3f}, {metrics['ok']} reported as "
        f"registered\n{expected_error.text(metrics['expected_error'])}\n"
        f"written to {args.out}"
    )
    return 0


def load_landmarks(path: str | pathlib.Path) -> np.ndarray:
    """Read landmarks by the names of their columns.

    Returns:
        float64 `[N, 4]`: x_fixed, y_fixed, x_moving, y_moving.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a column or a number is missing; the message names the line.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such landmark file")
    table = read_table(path)
    header = table.rows[0] if table.rows else Row(1, [])
    columns = [find_column(header, name, path) for name in COLUMNS]
    if None in columns:
        raise ValueError(
            f"{path}: columns {', '.join(header.cells)[:60]!r}; expected "
            f"{', '.join(COLUMNS)}"
        )
    refuse_shifted(table.rows[1:], header, columns, path)
    rows = []
    for row in table.rows[1:]:
        cells = [row.cell(column) for column in columns]
        values = [number(cell, thousands=table.separator == ",") for cell in cells]
        if None in values or not np.isfinite(values).all():
            raise ValueError(f"{path}, line {row.line}: expected four finite numbers")
        rows.append(values)
    if not rows:
        raise ValueError(f"{path}: no landmarks below the line of names")
    return np.array(rows, np.float64)


def list_pairs(
    data_dir: str | pathlib.Path, names: Sequence[str] | None = None
) -> list[Pair]:
    """Find the pairs in a folder, sorted by name.

    Args:
        data_dir: the folder.
        names: ids to take; None takes all.

    Raises:
        FileNotFoundError: no such folder, no pairs, or an image is missing.
        ValueError: a name that is not there.
    """
    root = pathlib.Path(data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder of pairs")
    tables = {
        p.stem.removesuffix("_landmarks"): p
        for p in root.glob("*_landmarks.csv")
        if not p.name.startswith(".")
    }
    if not tables:
        raise FileNotFoundError(
            f"{root}: no <id>_landmarks.csv; expected <id>_fixed.*, <id>_moving.* and "
            "<id>_landmarks.csv"
        )
    wanted = sorted(tables) if names is None else list(dict.fromkeys(names))
    missing = [name for name in wanted if name not in tables]
    if missing or not wanted:
        raise ValueError(f"{root}: no pairs {missing}; there are {sorted(tables)}")
    found_pairs, photographs = [], list_images(root)
    for name in sorted(wanted):
        images = []
        for role in ("fixed", "moving"):
            found = [p for p in photographs if p.stem == f"{name}_{role}"]
            if not found:
                raise FileNotFoundError(f"{root}/{name}_{role}.*: image missing")
            if len(found) > 1:
                both = " and ".join(path.name for path in found)
                raise ValueError(f"{root}: both {both} are there; keep one")
            images.append(found[0])
        found_pairs.append(Pair(name, *images, tables[name]))
    return found_pairs


def score(
    predictions: Sequence[Prediction],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Score predictions by the share of pairs with a mean error below 5 px.

    Returns:
        "success" (share), "auc" (mean over 1..25 px), "mean_error_px" (over the
        successes), "pairs", "ok" (pairs reported as registered); and one row a pair.
    """
    rows, means = [], []
    for prediction in predictions:
        errors = pair_errors(
            prediction.control_predicted, prediction.control_true[:, :2]
        )
        means.append(float(np.mean(errors)))
        rows.append(
            {
                "pair": prediction.name,
                "mean_error": means[-1],
                "max_error": float(np.max(errors)),
                "matches": len(prediction.points_fixed),
                "inliers": int(prediction.inliers.sum()),
                "family": prediction.family,
                "ok": prediction.ok,
                "confidence": round(prediction.confidence, 4),
                "reason": prediction.reason,
            }
        )
    numbers = registration_score(means, success_px=SUCCESS_PX)
    if not np.isfinite(numbers["mean_error_px"]):
        numbers["mean_error_px"] = None
    protocol = (
        f"success: mean landmark error strictly below {SUCCESS_PX:g} px of the files"
    )
    accepted = sum(prediction.ok for prediction in predictions)
    metrics = {"protocol": protocol, **numbers, "ok": accepted}
    metrics["expected_error"] = expected_error.score(predictions)
    return metrics, rows

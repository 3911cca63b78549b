"""Files of the scores of classes: JSON, tables, pictures; and the printed table."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rkd_jax.data.class_data import ClassData
from rkd_jax.evaluation import charts
from rkd_jax.evaluation.classification_predictions import Predictions
from rkd_jax.evaluation.classification_scores import RowScore, image_rows
from rkd_jax.evaluation.classification_seeds import MeanScore
from rkd_jax.evaluation.predictions import METRICS
from rkd_jax.evaluation.score_tables import (
    Scored,
    cell,
    cells,
    difference_cells,
    shown,
    shown_interval,
)
from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.metrics.classification import roc_curve

ROWS, CLASSES, IMAGES = "rows.csv", "classes.csv", "images.csv"
DIFFERENCES = "differences.csv"
SEEDS, SEED_DIFFERENCES = "seeds.csv", "seed_differences.csv"
PICTURES = CONFUSION, ROC, RELIABILITY = "confusion", "roc", "reliability"
_PROTOCOL = (
    "predicted class: the most probable; averages over the classes that are present; "
    "auc_ovr: mean area of a class against all others; auc_ovo: mean over pairs of "
    "classes; brier: 0 to 2; ece: 15 bins of equal width; probabilities are calibrated "
    "by the temperature of the weights; intervals: 95 %, bootstrap by group; a draw "
    "that lacks a present class has no average over classes"
)
_TITLES = {
    "balanced_accuracy": "bal.acc.",
    "accuracy": "accuracy",
    "macro_f1": "F1",
    "auc_ovr": "AUC ovr",
    "auc_ovo": "AUC ovo",
    "quadratic_kappa": "kappa",
    "brier": "Brier",
    "ece": "ECE",
}
_COMPARED = ("balanced_accuracy", "macro_f1", "auc_ovr", "quadratic_kappa")


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """What is written of some rows.

    Attributes:
        scores: of each row; the numbers of the first stand at the top of the JSON file.
        means: of each recipe over its seeds, if they are asked for.
        differences: of `classification_scores.compare` of the rows.
        mean_differences: the same of the means.
        facts: what the JSON file has besides.
    """

    scores: Mapping[str, RowScore]
    means: Mapping[str, MeanScore]
    differences: Sequence[Mapping[str, Any]]
    mean_differences: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]


def picture(kind: str, row: str, rows: Sequence[str]) -> str:
    """Return the name of a picture; that of the first row has no name of a row.

    >>> picture("roc", "b", ["a", "b"]), picture("roc", "a", ["a", "b"])
    ('roc_b.png', 'roc.png')
    """
    return f"{kind}.png" if row == rows[0] else f"{kind}_{row}.png"


def files(rows: Sequence[str]) -> list[str]:
    """Return the names of all files that are written for some rows."""
    pictures = [
        picture(kind, row, rows)
        for row in rows
        for kind in (CONFUSION, ROC, RELIABILITY)
    ]
    tables = [ROWS, CLASSES, IMAGES, DIFFERENCES, SEEDS, SEED_DIFFERENCES]
    return [METRICS, *tables, *pictures]


def write(
    out: pathlib.Path,
    data: ClassData,
    saved: Mapping[str, Predictions],
    table: Table,
) -> None:
    """Write all files of the scores.

    Args:
        out: folder of the run.
        data: the images.
        saved: predictions of each row, in their order.
        table: scores of the rows.
    """
    scores = table.scores
    rows = {
        row: {
            **one.numbers,
            "intervals": one.intervals,
            "temperature": one.temperature,
            "far_share": one.far_share,
            "classes": dict(zip(data.classes, one.classes, strict=True)),
            "confusion": one.matrix.tolist(),
        }
        for row, one in scores.items()
    }
    first = next(iter(rows))
    content = {"row": first, **rows[first], **table.facts, "rows": rows}
    content |= {"differences": list(table.differences), "protocol": _PROTOCOL}
    if table.means:
        content["seeds"] = {
            name: {
                **one.numbers,
                "intervals": one.intervals,
                "sd": one.spread,
                "runs": one.runs,
            }
            for name, one in table.means.items()
        }
        content["seed_differences"] = list(table.mean_differences)
    text = json.dumps(content, indent=2, allow_nan=False)
    own_files.write_text(out / METRICS, text + "\n")
    tables = {
        ROWS: [
            {"row": row} | cells(one.numbers, one.intervals)
            for row, one in scores.items()
        ],
        CLASSES: [
            {"row": row, "class": name} | line
            for row, one in scores.items()
            for name, line in zip(data.classes, one.classes, strict=True)
        ],
        IMAGES: [
            {"row": row} | line
            for row, one in scores.items()
            for line in image_rows(data, saved[row], one)
        ],
        DIFFERENCES: [difference_cells(one) for one in table.differences],
        SEEDS: [{"recipe": name} | one.line() for name, one in table.means.items()],
        SEED_DIFFERENCES: [difference_cells(one) for one in table.mean_differences],
    }
    for name, lines in tables.items():
        if not lines:
            own_files.remove(out / name)  # of an earlier run
            continue
        text = csv_text([{k: cell(v) for k, v in line.items()} for line in lines])
        own_files.write_text(out / name, text)
    for name in own_files.own_names(out) - set(files(list(scores))):
        if name.startswith(PICTURES) and name.endswith(".png"):
            own_files.remove(out / name)  # of a row of an earlier run
    for row, one in scores.items():
        _draw(out, data, row, list(scores), one)


def _draw(
    out: pathlib.Path, data: ClassData, row: str, rows: Sequence[str], score: RowScore
) -> None:
    title = f"{row}: {len(data)} images of {len(set(data.groups))} groups"
    labels, found = data.labels.astype(int), score.probabilities
    curves = {
        f"{name}: area {facts['auc']:.3f}, {facts['images']} images": roc_curve(
            labels, found, number
        )
        for number, (name, facts) in enumerate(zip(data.classes, score.classes))
        if facts["auc"] is not None
    }
    figures = {
        CONFUSION: charts.confusion_chart(score.matrix, data.classes, title),
        ROC: charts.roc_chart(curves, title),
        RELIABILITY: charts.reliability_chart(score.bins, title, count="images"),
    }
    for kind, figure in figures.items():
        own_files.write_bytes(out / picture(kind, row, rows), charts.png(figure))


def printed(table: Table) -> str:
    """Return the table for a terminal."""
    scores, facts = table.scores, table.facts
    lines = _lines("row", scores, [] if table.means else table.differences)
    if table.means:
        lines += _lines("mean of runs", table.means, table.mean_differences)
    counts = ", ".join(f"{name} {n}" for name, n in facts["class_counts"].items())
    lines.append(f"{facts['images']} images of {facts['groups']} groups: {counts}")
    if absent := facts["absent_classes"]:
        lines.append(
            f"no image of class {', '.join(absent)}: averages are over the others"
        )
    for row, score in scores.items():
        if score.far_share is not None:
            lines.append(
                f"{row}: {score.far_share:.0%} of the images are farther from the "
                "training data than 95 % of the validation images"
            )
    return "\n".join(lines)


def _lines(
    title: str, scores: Mapping[str, Scored], differences: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the lines of scores and of their differences."""
    names = list(next(iter(scores.values())).numbers)
    names = [name for name in _TITLES if name in names]
    width = max(len(title) + 2, *(len(row) + 2 for row in scores))
    head = f"{title:{width}}{_TITLES[names[0]]:>9}{'95 % interval':>17}"
    lines = [head + "".join(f"{_TITLES[name]:>10}" for name in names[1:])]
    for row, score in scores.items():
        values = [shown(score.numbers[name]) for name in names]
        interval = shown_interval(score.intervals[names[0]])
        line = f"{row:{width}}{values[0]:>9}{interval:>17}"
        lines.append(line + "".join(f"{value:>10}" for value in values[1:]))
    for one in differences:
        gains = []
        for name in _COMPARED:
            if (gain := one["difference"].get(name)) is not None:
                between = shown_interval(one["intervals"][name])
                gains.append(f"{_TITLES[name]} {gain:+.3f} ({between})")
        lines.append(f"{one['first']} less {one['second']}: {', '.join(gains)}")
    return lines

"""Files of the scores of lesions: JSON, tables, curves; and the printed table."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from rkd_jax.evaluation import charts
from rkd_jax.evaluation.lesion_published import LESION, MARK, PAPER
from rkd_jax.evaluation.lesion_scores import RowScore
from rkd_jax.evaluation.predictions import METRICS
from rkd_jax.evaluation.score_tables import (
    cell,
    cells,
    difference_cells,
    shown,
    shown_interval,
)
from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.metrics.lesions.froc import RATES

ROWS, PHOTOGRAPHS, DIFFERENCES = "rows.csv", "photographs.csv", "differences.csv"
CURVE, FROC = "precision_recall.png", "froc.png"
FILES = (METRICS, ROWS, PHOTOGRAPHS, DIFFERENCES, CURVE, FROC)
_COVERED = 0.1  # lesions of photographs cover less than a tenth of this
_PAPER = ("average_precision", "f1", "precision", "recall")
_PROTOCOL = (
    "pixels of all photographs together, at the size of their files, outside the field "
    "too; average_precision: step sum over all distinct scores; aupr_11 and aupr_33: "
    "11 and 33 thresholds, trapezoid over recall; sensitivity_at_R: share of lesions "
    "found with at most R false positives an image; intervals: 95 %, bootstrap by "
    "photograph"
)


def write(
    out: pathlib.Path,
    scores: Mapping[str, RowScore],
    differences: Sequence[Mapping[str, Any]],
    facts: dict[str, Any],
) -> None:
    """Write all files of the scores.

    Args:
        out: folder of the run.
        scores: of each row.
        differences: of `lesion_differences.compare`.
        facts: what `metrics.json` has besides; "row" names the row whose numbers stand
            at its top, "lesion" the lesion.
    """
    rows = {
        row: {**one.numbers, "intervals": one.intervals} for row, one in scores.items()
    }
    content = {**rows[facts["row"]], **facts, "rows": rows}
    if facts["lesion"] == LESION:
        content["published"] = {row: p._asdict() for row, p in PAPER.items()}
        content["published"]["source"] = f"Sarhan et al. 2019: {MARK}"
    content |= {"differences": list(differences), "protocol": _PROTOCOL}
    text = json.dumps(content, indent=2, allow_nan=False)
    own_files.write_text(out / METRICS, text + "\n")
    table = [_table_row(row, one, facts) for row, one in scores.items()]
    own_files.write_text(out / ROWS, csv_text(table))
    photographs = [
        {"row": row} | {name: cell(value) for name, value in line.items()}
        for row, one in scores.items()
        for line in one.photographs
    ]
    own_files.write_text(out / PHOTOGRAPHS, csv_text(photographs))
    if differences:
        lines = [difference_cells(one) for one in differences]
        own_files.write_text(out / DIFFERENCES, csv_text(lines))
    else:
        own_files.remove(out / DIFFERENCES)  # of an earlier run
    _draw(out, scores, f"{facts['lesion']}, {facts['photographs']} photographs")


def _table_row(row: str, score: RowScore, facts: Mapping[str, Any]) -> dict[str, Any]:
    line = {"row": row} | cells(score.numbers, score.intervals)
    line["threshold"] = cell(float(facts["threshold"]))
    if facts["lesion"] == LESION:
        printed = PAPER.get(row)
        for name in _PAPER:
            value = None if printed is None else getattr(printed, name)
            line[f"paper_27_test_photographs_{name}"] = cell(value)
    return line


def _draw(out: pathlib.Path, scores: Mapping[str, RowScore], title: str) -> None:
    def labels(name: str, what: str) -> dict[str, str]:
        return {
            row: f"{row}: {what} {one.numbers[name]:.3f}" for row, one in scores.items()
        }

    area = labels("average_precision", "average precision")
    curve = charts.precision_recall_chart(
        {area[row]: one.precision_recall for row, one in scores.items()}, title
    )
    own_files.write_bytes(out / CURVE, charts.png(curve))
    mean = labels("sensitivity_mean", "mean")
    found = charts.froc_chart(
        {mean[row]: one.froc for row, one in scores.items()}, RATES, title
    )
    own_files.write_bytes(out / FROC, charts.png(found))


def printed(
    scores: Mapping[str, RowScore],
    differences: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any],
) -> str:
    """Return the table for a terminal; see `write`."""
    paper = facts["lesion"] == LESION and len(scores) > 1
    names = ("average_precision", "aupr_11", "best_f1", "best_f1_threshold")
    names += ("f1", "precision", "recall", "sensitivity_mean")
    titles = ("AP", "aupr_11", "best F1", "at", "F1", "precis.", "recall", "FROC")
    head = f"{'row':22}{titles[0]:>7}{'95 % interval':>16}"
    head += "".join(f"{title:>9}" for title in titles[1:])
    lines = [head + f"{'paper AP':>10}" * paper]
    for row, score in scores.items():
        values = [shown(score.numbers[name]) for name in names]
        interval = shown_interval(score.intervals["average_precision"])
        line = f"{row:22}{values[0]:>7}{interval:>16}"
        line += "".join(f"{value:>9}" for value in values[1:])
        known = PAPER[row].average_precision if row in PAPER else None
        lines.append(line + f"{shown(known):>10}" * paper)
    lines.append(
        f"F1, precision and recall at {facts['threshold']:g}, "
        f"{facts['threshold_source']}"
    )
    if wide := [row for row, one in scores.items() if one.covered > _COVERED]:
        lines.append(
            f"FROC of {', '.join(wide)}: candidates cover more than {_COVERED:.0%} of "
            "a photograph and find lesions by chance; give a larger --candidates"
        )
    if paper:
        lines.append(f"paper AP: {MARK}; how it integrates is not stated")
    for one in differences:
        between = shown_interval(one["intervals"]["average_precision"])
        gain = one["difference"]["average_precision"]
        lines.append(
            f"{one['first']} less {one['second']}: average precision {gain:+.3f} "
            f"(95 %, paired: {between})"
        )
    if healthy := facts.get("healthy"):
        lines.append(
            f"{healthy['photographs']} photographs without lesions: "
            f"{healthy['false_positives_per_image']:.2f} false positives an image "
            f"({shown_interval(healthy['interval'])})"
        )
    if facts["refused"]:
        lines.append(
            "taken for no photograph of a fundus, scored with an empty map: "
            f"{', '.join(facts['refused'])}"
        )
    return "\n".join(lines)

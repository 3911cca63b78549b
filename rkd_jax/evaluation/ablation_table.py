"""The table of the ablation: a row for each network and protocol, as text and chart."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.evaluation import charts
from rkd_jax.evaluation.fire import results
from rkd_jax.evaluation.predictions import Prediction
from rkd_jax.evaluation.published import PAPER
from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.metrics import fire
from rkd_jax.version import __version__

FILES = ("ablation.csv", "differences.csv", "ablation.md", "ablation.png")


def table_row(name: str, protocol: str, saved: Sequence[Prediction]) -> dict[str, Any]:
    """Score one run as a row of the table, with the paper's numbers where it has some.

    Columns: outcome in per cent, AUC by class (S easy, A moderate, P hard), mAUC with
    its interval by eye, mean landmark error, median number of good matches (inliers
    that the fit kept) by class, pairs accepted ("ok"), those of them that are not
    acceptable ("ok_wrong"), and "paper_..." of the paper itself. P37 is left out.
    """
    kept = [p for p in saved if p.name != fire.EXCLUDED]
    scored = results(kept)
    metrics = fire.score(scored)
    low, high = metrics["intervals"]["mAUC"] or (None, None)
    row: dict[str, Any] = {"network": name, "protocol": protocol}
    row |= {key: metrics[key] for key in ("failed", "inaccurate", "acceptable")}
    row |= {key: metrics[key] for key in ("S", "A", "P", "mAUC")}
    row |= {"low": low, "high": high, "mean_error_px": metrics["mean_landmark_error"]}
    for category in ("S", "A", "P"):
        counts = [int(p.inliers.sum()) for p in kept if p.name.startswith(category)]
        row[f"good_matches_{category}"] = int(np.median(counts)) if counts else None
    wrong = [
        prediction.ok and result.outcome != "acceptable"
        for prediction, result in zip(kept, scored, strict=True)
    ]
    row |= {"ok": sum(p.ok for p in kept), "ok_wrong": sum(wrong)}
    row["pairs"] = len(kept)
    printed = PAPER.get(name) if protocol == "paper" else None
    for key in ("failed", "inaccurate", "acceptable", "S", "A", "P", "mAUC"):
        row[f"paper_{key}"] = None if printed is None else getattr(printed, key)
    return row


def comparison(
    names: tuple[str, str],
    protocol: str,
    runs: tuple[Sequence[Prediction], Sequence[Prediction]],
) -> dict[str, Any]:
    """Compare two networks under one protocol: paired bootstrap by eye."""
    found = fire.paired_difference(*(results(run) for run in runs))
    low, high = found["intervals"]["mAUC"] or (None, None)
    return {
        "first": names[0],
        "second": names[1],
        "protocol": protocol,
        **{key: found[key] for key in ("S", "A", "P", "mAUC")},
        "low": low,
        "high": high,
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 2 else f"{value:.2f}"
    return str(value)


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of equal keys as a Markdown table.

    Example:
        >>> print(markdown([{"a": 1, "b": 0.5}]), end="")
        | a | b |
        |---|---|
        | 1 | 0.500 |
    """
    names = list(rows[0])
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(row[name]) for name in names] for row in rows]
    texts = ["| " + " | ".join(line) + " |" for line in lines]
    texts[1] = "|" + "---|" * len(names)
    return "\n".join(texts) + "\n"


def chart_bars(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Arrange mAUC by network and protocol, for `evaluation.charts.bar_chart`."""
    bars: dict[str, dict[str, Any]] = {}
    for row in rows:
        group = bars.setdefault(row["network"], {})
        group[f"{row['protocol']} protocol"] = row["mAUC"]
        if row["paper_mAUC"] is not None:
            group["printed in the paper"] = row["paper_mAUC"]
    return bars


def source_text(
    files: Mapping[str, str],
    digests: Mapping[str, str | None],
    compared: Sequence[Sequence[str]] = (),
) -> str:
    """Return how a table was made: command, version, date and weights.

    Args:
        files: of each network.
        digests: `rkd_jax.weights.Weights.sha256` of each network.
        compared: pairs of names that were asked for.

    Example:
        >>> text = source_text({"a": "x/y.safetensors"}, {"a": "0123456789ab"})
        >>> print(text.splitlines()[1])
        Digest of parameters (`rkd_jax.weights.load(FILE).sha256`): a 0123456789ab.
    """
    command = [
        "python -m rkd_jax.evaluate ablation --data_dir FIRE --out OUT --weights"
    ]
    command += [f"{name}={pathlib.Path(file).name}" for name, file in files.items()]
    command += [f"--compare {first} {second}" for first, second in compared]
    shown = ", ".join(f"{n} {d[:12]}" for n, d in digests.items() if d)
    date = time.strftime("%Y-%m-%d")
    text = f"`{' '.join(command)}`, rkd_jax {__version__}, {date}."
    of = "Digest of parameters (`rkd_jax.weights.load(FILE).sha256`)"
    return text + (f"\n{of}: {shown}." if shown else "")


def write(
    out: pathlib.Path,
    rows: Sequence[Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    *,
    source: str,
) -> str:
    """Write `ablation.csv`, `differences.csv`, `ablation.md` and `ablation.png`.

    Args:
        out: folder.
        rows: of `table_row`.
        differences: of `comparison`.
        source: how and of what the numbers were made; stands below the table.

    Returns:
        The Markdown text.
    """
    title = f"FIRE, mAUC over {rows[0]['pairs']} pairs, P37 left out"
    picture = charts.png(charts.bar_chart(chart_bars(rows), title))
    text = f"{markdown(rows)}\n{source}\n"
    own_files.write_text(out / "ablation.csv", csv_text(rows))
    if differences:
        own_files.write_text(out / "differences.csv", csv_text(differences))
        text += (
            "\nFirst less second, paired bootstrap by eye (low to high: mAUC, 95 %):"
        )
        text += "\n\n" + markdown(differences)
    own_files.write_text(out / "ablation.md", text)
    own_files.write_bytes(out / "ablation.png", picture)
    return text

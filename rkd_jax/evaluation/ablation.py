"""Every network on FIRE twice, by the papers' protocol and by ours, in one table."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.evaluation.charts import bar_chart
from rkd_jax.evaluation.fire import results
from rkd_jax.evaluation.published import PAPER
from rkd_jax.files import own_files
from rkd_jax.images.pictures import encode_png
from rkd_jax.metrics import fire
from rkd_jax.registration.files.predictions import Prediction, table_text
from rkd_jax.registration.files.predictions import claim as claim_predictions
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class Protocol:
    """A way to register all pairs.

    Attributes:
        name: of its column.
        paper: whether detection and matching are those of the papers.
        method: how `matcher.register` is called.
    """

    name: str
    paper: bool
    method: Mapping[str, Any]

    def options(self) -> MatcherOptions | None:
        """Return the matcher's options; None for those that suit it."""
        return MatcherOptions.paper() if self.paper else None


PROTOCOLS = (
    Protocol(
        "paper",
        True,
        {
            "transform": "homography",
            "estimator": "lmeds",
            "guided": False,
            "two_pass": True,
        },
    ),
    Protocol(
        "ours",
        False,
        {
            "transform": "auto",
            "estimator": "magsac",
            "guided": True,
            "two_pass": False,
        },
    ),
)


def parse_weights(texts: Sequence[str]) -> dict[str, str]:
    """Read NAME=FILE arguments.

    Raises:
        ValueError: no "=", an empty part or a name given twice.

    Example:
        >>> parse_weights(["unet=a.safetensors"])
        {'unet': 'a.safetensors'}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, file = text.partition("=")
        if not name or not file or not name.replace("_", "").isalnum():
            raise ValueError(
                f"--weights {text}: expected NAME=FILE, NAME of letters, digits and _"
            )
        if name in found or name == "sift":
            raise ValueError(f"--weights {text}: the name {name!r} is taken")
        found[name] = file
    return found


def table_row(
    name: str, protocol: str, predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """Score one run as a row of the table, with the paper's numbers where it has some.

    Columns: outcome in per cent, AUC by class (S easy, A moderate, P hard), mAUC with
    its interval by eye, mean landmark error, median number of good matches (inliers
    that the fit kept) by class, pairs believed ("ok"), those of them that are not
    acceptable ("ok_wrong"), and "paper_..." of the paper itself. P37 is left out.
    """
    predictions = [p for p in predictions if p.name != fire.EXCLUDED]
    scored = results(predictions)
    metrics = fire.score(scored)
    low, high = metrics["intervals"]["mAUC"] or (None, None)
    row: dict[str, Any] = {"network": name, "protocol": protocol}
    row |= {key: metrics[key] for key in ("failed", "inaccurate", "acceptable")}
    row |= {key: metrics[key] for key in ("S", "A", "P", "mAUC")}
    row |= {"low": low, "high": high, "mean_error_px": metrics["mean_landmark_error"]}
    for category in ("S", "A", "P"):
        counts = [
            int(p.inliers.sum()) for p in predictions if p.name.startswith(category)
        ]
        row[f"good_matches_{category}"] = int(np.median(counts)) if counts else None
    wrong = [
        prediction.ok and result.outcome != "acceptable"
        for prediction, result in zip(predictions, scored, strict=True)
    ]
    row |= {"ok": sum(p.ok for p in predictions), "ok_wrong": sum(wrong)}
    row["pairs"] = len(predictions)
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


def claim(out: pathlib.Path, networks: Iterable[str], *, inputs: Iterable[str]) -> None:
    """Refuse a folder where the ablation would replace files of others.

    Args:
        out: folder of the run.
        networks: names; each has a folder for each protocol.
        inputs: files that the run reads.

    Raises:
        OSError, ValueError: see `rkd_jax.registration.files.predictions.claim`.
    """
    inputs = list(inputs)
    names = ("ablation.csv", "differences.csv", "ablation.md", "ablation.png")
    own_files.claim([out / name for name in names], inputs=inputs)
    for network in networks:
        for protocol in PROTOCOLS:
            claim_predictions(out / network / protocol.name, inputs=inputs)


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
    picture = bar_chart(chart_bars(rows), title)
    text = f"{markdown(rows)}\n{source}\n"
    own_files.write_text(out / "ablation.csv", table_text(rows))
    if differences:
        own_files.write_text(out / "differences.csv", table_text(differences))
        text += (
            "\nFirst less second, paired bootstrap by eye (low to high: mAUC, 95 %):"
        )
        text += "\n\n" + markdown(differences)
    own_files.write_text(out / "ablation.md", text)
    own_files.write_bytes(out / "ablation.png", encode_png(picture))
    return text

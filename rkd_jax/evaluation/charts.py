"""Charts of benchmarks, drawn with Matplotlib: reliability, bars, curves, matrices.

Each returns a `matplotlib.figure.Figure` of its own (no global state, no display);
`png` encodes it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rkd_jax.metrics.landmarks import THRESHOLD, auc

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 100
_DARK = 0.55  # share from which text on the color is white


def png(figure: Figure) -> bytes:
    """Encode a figure as PNG; equal figures give equal bytes."""
    data = io.BytesIO()
    figure.savefig(data, format="png", metadata={"Software": None})
    return data.getvalue()


def _figure(width: int, height: int) -> tuple[Figure, Axes]:
    """Return a figure of a size in pixels, and its axes."""
    from matplotlib.figure import Figure

    size = width / _DPI, height / _DPI
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    return figure, axes


def reliability_chart(
    rows: Sequence[Mapping[str, float]], title: str, *, count: str = "pairs"
) -> Figure:
    """Draw how often what has a confidence is right.

    Args:
        rows: bins with "confidence" (mean), "right" (share) and a count; each is drawn
            with its 95 % interval of Wilson and its count.
        title: above the chart.
        count: key of the count.
    """
    from scipy.stats import binomtest

    figure, axes = _figure(520, 530)
    confidence = [row["confidence"] for row in rows]
    right = np.array([row["right"] for row in rows])
    ends = []
    for row in rows:
        cases = int(row[count])
        test = binomtest(round(row["right"] * cases), cases)
        ends.append(test.proportion_ci(0.95, method="wilson"))
        axes.annotate(
            str(cases),
            (row["confidence"], row["right"]),
            (6, -12),
            textcoords="offset points",
        )
    reach = np.abs(np.array(ends).reshape(-1, 2) - right[:, None]).T
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    axes.errorbar(confidence, right, yerr=reach, marker="o", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right, 95 % interval, count")
    return figure


def bar_chart(bars: Mapping[str, Mapping[str, float | None]], title: str) -> Figure:
    """Draw groups of horizontal bars on a scale of 0 to 1.

    Args:
        bars: group -> series -> value; None is left out. Series have one color each.
        title: above the chart.

    Returns:
        A figure 900 px wide, higher the more bars there are.
    """
    series = list(dict.fromkeys(name for group in bars.values() for name in group))
    rows = len(series) + 1
    figure, axes = _figure(900, 130 + 18 * rows * len(bars))
    for number, name in enumerate(series):
        found = [
            (at * rows + number, group[name])
            for at, group in enumerate(bars.values())
            if group.get(name) is not None
        ]
        places, values = zip(*found, strict=True) if found else ((), ())
        drawn = axes.barh(places, values, height=0.8, label=name)
        axes.bar_label(drawn, fmt="%.3f", padding=3)
    middles = [at * rows + (len(series) - 1) / 2 for at in range(len(bars))]
    axes.set_yticks(middles, list(bars))
    axes.set(xlim=(0, 1), title=title)
    axes.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=max(1, len(series)))
    return figure


def error_curve(
    errors: Mapping[str, np.ndarray], *, limit: float = 2 * THRESHOLD
) -> Figure:
    """Draw the share of faces with at most an error, a curve for each name.

    Args:
        errors: name -> normalized errors `[N]`.
        limit: right end of the axis.
    """
    figure, axes = _figure(720, 480)
    for name, values in errors.items():
        label = f"{name}: AUC {auc(values):.3f}, {len(values)} faces"
        axes.ecdf(100 * values, label=label)
    axes.axvline(100 * THRESHOLD, color="0.5", linewidth=1)
    axes.set(xlim=(0, 100 * limit), ylim=(0, 1), ylabel="share of faces")
    axes.set_xlabel("normalized error, per cent of the eyes' distance (line: failure)")
    axes.legend(loc="upper left")
    return figure


def precision_recall_chart(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str
) -> Figure:
    """Draw precision against recall, a curve for each name.

    Args:
        curves: label -> (precision, recall) `[P]`, by rising recall; the area below the
            steps is the average precision.
        title: above the chart.
    """
    figure, axes = _figure(720, 560)
    for label, (precision, recall) in curves.items():
        axes.step(
            np.concatenate([[0.0], recall]),
            np.concatenate([precision[:1], precision]),
            where="pre",
            label=label,
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), title=title)
    axes.set(xlabel="recall of lesion pixels", ylabel="precision")
    axes.legend(loc="upper right")
    return figure


def froc_chart(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    rates: Sequence[float],
    title: str,
) -> Figure:
    """Draw the share of lesions found by false positives an image.

    Args:
        curves: label -> (false positives an image, sensitivity) `[P]`, both rising.
        rates: to mark on the axis of false positives, which is logarithmic.
        title: above the chart.
    """
    figure, axes = _figure(720, 480)
    left, right = min(rates) / 2, max(rates) * 2
    for label, (false, found) in curves.items():
        # What is found without any false positive lies left of a logarithmic axis.
        axes.step(np.maximum(false, left / 2), found, where="post", label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(rates), [f"{rate:g}" for rate in rates])
    axes.set(xlim=(left, right), ylim=(0, 1), title=title)
    axes.set(xlabel="false positives an image", ylabel="share of lesions found")
    axes.legend(loc="upper left")
    return figure


def roc_chart(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str
) -> Figure:
    """Draw true against false positive rate, a curve for each name.

    Args:
        curves: label -> (false positive rate, true positive rate) `[P]`, both rising.
        title: above the chart.
    """
    figure, axes = _figure(720, 640)
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for label, (false, true) in curves.items():
        axes.plot(false, true, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", title=title)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    if curves:
        axes.legend(loc="lower right")
    return figure


def confusion_chart(matrix: np.ndarray, classes: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix: counts, colored by their share of the true class.

    Args:
        matrix: int `[C, C]`: [true, predicted].
        classes: their names.
        title: above the chart.

    Returns:
        A figure that is larger the more classes there are.
    """
    side = 240 + 70 * len(classes)
    figure, axes = _figure(side + 80, side)
    axes.grid(visible=False)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    drawn = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        color = "white" if share[row, column] > _DARK else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=color)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(title=title, xlabel="predicted", ylabel="true")
    figure.colorbar(drawn, label="share of the true class", shrink=0.8)
    return figure

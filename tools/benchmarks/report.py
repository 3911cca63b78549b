"""Rows of results as a table, a JSON file and a plot."""

from __future__ import annotations

import io
import json
import pathlib
import statistics
from typing import TYPE_CHECKING

from rkd_jax.files.atomic import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("section", "what", "size", "batch", "precision")


def summarise(
    seconds: dict[str, list[float]],
    *,
    gflop: float | None = None,
    product: float | None = None,
) -> dict:
    """Return medians, and how many times as fast as PyTorch's best layout we are.

    Args:
        seconds: Times of the arms "ours", "torch first", "torch last", "product" and
            "product torch", those that were timed.
        gflop: Work of one run, for the rates.
        product: Work of a matrix product; its faster arm is the machine's rate.

    >>> row = summarise({"ours": [1.0, 3.0, 2.0], "torch first": [5.0, 4.0, 3.0]})
    >>> row["ours_s"], row["torch_s"], row["times_as_fast"]
    (2.0, 4.0, 2.0)
    >>> row = summarise({"ours": [2.0], "product": [0.5]}, gflop=8.0, product=4.0)
    >>> row["ours_gflops"], row["product_gflops"], row["share_of_product_rate"]
    (4.0, 8.0, 0.5)
    """
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rivals = {name: value for name, value in medians.items() if name[:6] == "torch "}
    row = {}
    if "ours" in medians:
        row |= {"ours_s": medians["ours"], "runs": len(seconds["ours"])}
    if rivals:
        best = min(rivals, key=rivals.get)
        row |= {"torch_s": rivals[best], "torch_layout": best.removeprefix("torch ")}
        if "ours" in medians:
            row["times_as_fast"] = rivals[best] / medians["ours"]
    if gflop:
        row["gflop"] = gflop
        sides = [side for side in ("ours", "torch") if f"{side}_s" in row]
        row |= {f"{side}_gflops": gflop / row[f"{side}_s"] for side in sides}
        products = [value for name, value in medians.items() if name[:7] == "product"]
        if product and products:
            rate = row["product_gflops"] = product / min(products)
            for side in sides:
                prefix = "" if side == "ours" else "torch_"
                share = row[f"{side}_gflops"] / rate
                row[f"{prefix}share_of_product_rate"] = share
    return row | {"seconds": seconds}


def line(row: dict) -> str:
    """Return a row as one line of text.

    >>> line({"section": "network", "what": "forward", "size": 64, "ours_s": 0.5})
    'network forward 64: ours_s 0.5'
    """
    head = " ".join(str(row[name]) for name in COLUMNS if row.get(name) is not None)
    hidden = (*COLUMNS, "seconds", "ran_s", "took_s")
    shown = [
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in row.items()
        if k not in hidden and v is not None
    ]
    return f"{head}: {', '.join(shown)}"


def write(folder: pathlib.Path, machine: dict, rows: list[dict]) -> None:
    """Write `benchmark.json` and `benchmark.svg`."""
    text = json.dumps({"machine": machine, "rows": rows}, indent=1)
    write_text(folder / "benchmark.json", text)
    svg = io.StringIO()
    figure = plot(machine["device"], rows)
    figure.savefig(svg, format="svg", metadata={"Date": None}, bbox_inches="tight")
    write_text(folder / "benchmark.svg", svg.getvalue())


def _panels(rows: list[dict]) -> list[tuple[str, dict[str, list[tuple[float, float]]]]]:
    """Return the diagrams: title, and points (x, seconds) of each line by its name."""
    rows = [row for row in rows if "ours_s" in row]
    kinds = dict.fromkeys(r["what"] for r in rows if r["section"] == "network")
    panels = []
    for kind in kinds:
        lines: dict[str, list[tuple[float, float]]] = {}
        for row in (r for r in rows if r["section"] == "network" and r["what"] == kind):
            case = f"batch {row['batch']}, {row['precision']}"
            for who, key in (("ours", "ours_s"), ("PyTorch", "torch_s")):
                if key in row:
                    point = row["size"], row[key] / row["batch"]
                    lines.setdefault(f"{who}, {case}", []).append(point)
        panels.append((f"{kind}: s an image over px", lines))
    for what in ("keypoints", "devices"):
        points = [(r["count"], r["ours_s"]) for r in rows if r["what"] == what]
        if points:
            panels.append((f"s over number of {what}", {what: points}))
    return panels


def plot(title: str, rows: list[dict]) -> Figure:
    """Draw seconds an image over size, ours and PyTorch's, and scaling.

    Lines of one case have one color; PyTorch's are dashed.
    """
    from matplotlib.figure import Figure

    panels = _panels(rows)
    size = 3.2 * max(1, len(panels)), 4.5
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, wrap=True)
    for number, (heading, lines) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        cases = list(dict.fromkeys(name.split(", ", 1)[-1] for name in lines))
        for name, points in lines.items():
            axes.loglog(
                *zip(*sorted(points), strict=True),
                marker=".",
                color=f"C{cases.index(name.split(', ', 1)[-1])}",
                linestyle="--" if name.startswith("PyTorch") else "-",
                label=name,
            )
        places = sorted({x for points in lines.values() for x, _ in points})
        axes.set_xticks(places, [f"{x:g}" for x in places])
        axes.set_xticks([], minor=True)
        axes.set_title(heading)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), fontsize="small")
    return figure

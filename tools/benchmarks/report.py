"""Rows of results as a table, a JSON file and a plot."""

import html
import json
import math
import pathlib
import statistics

from rkd_jax.files.atomic import write_text

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
PANEL, LEGEND = 240, 188
"""Width of a diagram, and where the first line of its legend stands, px."""
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
    write_text(folder / "benchmark.svg", plot(machine["device"], rows))


def plot(title: str, rows: list[dict]) -> str:
    """Draw seconds an image over size, ours and PyTorch's, and scaling: SVG."""
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
    parts = [_panel(PANEL * i, *panel) for i, panel in enumerate(panels)]
    # A letter is about 5 px wide.
    width = max([PANEL * len(panels), 16 + 5 * len(title)])
    height = LEGEND + 10 * max([len(lines) for _, lines in panels], default=0) + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="9">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n'
        f'<text x="8" y="12">{html.escape(title)}</text>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _panel(left: int, title: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    """Draw one diagram, both axes logarithmic, with its legend below.

    Lines of one case have one color; PyTorch's are dashed.
    """
    points = [point for line in lines.values() for point in line]
    spans = [(min(axis), max(axis)) for axis in zip(*points)]

    def place(value: float, axis: int) -> float:
        low, high = (math.log(v) for v in spans[axis])
        share = (math.log(value) - low) / (high - low) if high > low else 0.5
        return left + 30 + 190 * share if axis == 0 else 160 - 120 * share

    parts = [
        f'<text x="{left + 30}" y="30">{html.escape(title)}</text>',
        f'<rect x="{left + 30}" y="40" width="190" height="120" fill="none" '
        'stroke="silver"/>',
    ]
    for axis, (low, high) in enumerate(spans):
        for value in dict.fromkeys((low, high)):
            x, y = (place(value, 0), 171) if axis == 0 else (left + 27, place(value, 1))
            text = f"{value:.0f}" if value >= 100 else f"{value:.2g}"
            anchor = "middle" if axis == 0 else "end"
            parts.append(
                f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{text}</text>'
            )
    cases = list(dict.fromkeys(name.split(", ", 1)[-1] for name in lines))
    for number, (name, line) in enumerate(lines.items()):
        color = COLORS[cases.index(name.split(", ", 1)[-1]) % len(COLORS)]
        dots = [(place(x, 0), place(y, 1)) for x, y in sorted(line)]
        where = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
        dash = ' stroke-dasharray="4 3"' if name.startswith("PyTorch") else ""
        stroke = f'fill="none" stroke="{color}"{dash}'
        parts.append(f'<polyline points="{where}" {stroke}/>')
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{color}"/>' for x, y in dots
        ]
        y = LEGEND + 10 * number
        parts.append(f'<path d="M {left + 30} {y - 3} h 20" {stroke}/>')
        parts.append(f'<text x="{left + 54}" y="{y}">{html.escape(name)}</text>')
    return "\n".join(parts)

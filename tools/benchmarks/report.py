"""Rows of results as a table, a JSON file and a plot."""

import json
import pathlib
import statistics

COLUMNS = ("section", "what", "size", "batch", "precision")


def summarise(seconds: dict[str, list[float]], gflop: float | None = None) -> dict:
    """Return medians, and how many times as fast as PyTorch's best layout we are.

    Args:
        seconds: Times of the arms "ours", and "torch first", "torch last" if timed.
        gflop: Work of one run, for the rates.

    >>> row = summarise({"ours": [1.0, 3.0, 2.0], "torch first": [5.0, 4.0, 3.0]})
    >>> row["ours_s"], row["torch_s"], row["times_as_fast"]
    (2.0, 4.0, 2.0)
    """
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    row = {"ours_s": medians["ours"], "runs": len(seconds["ours"])}
    rivals = {name: value for name, value in medians.items() if name[:5] == "torch"}
    if rivals:
        best = min(rivals, key=rivals.get)
        row |= {
            "torch_s": rivals[best],
            "torch_layout": best.removeprefix("torch "),
            "times_as_fast": rivals[best] / medians["ours"],
        }
    if gflop:
        row["ours_gflops"] = gflop / medians["ours"]
        if rivals:
            row["torch_gflops"] = gflop / row["torch_s"]
    return row | {"seconds": seconds}


def line(row: dict) -> str:
    """Return a row as one line of text.

    >>> line({"section": "network", "what": "forward", "size": 64, "ours_s": 0.5})
    'network forward 64: ours_s 0.5'
    """
    head = " ".join(str(row[name]) for name in COLUMNS if row.get(name) is not None)
    hidden = (*COLUMNS, "seconds")
    shown = [
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in row.items()
        if k not in hidden and v is not None
    ]
    return f"{head}: {', '.join(shown)}"


def write(folder: pathlib.Path, machine: dict, rows: list[dict]) -> None:
    """Write `benchmark.json` and `benchmark.png`."""
    from rkd_jax.files import atomic_path, write_text

    text = json.dumps({"machine": machine, "rows": rows}, indent=1)
    write_text(folder / "benchmark.json", text)
    with atomic_path(folder / "benchmark.png") as part:
        _plot(part, machine, rows)


def _plot(path: pathlib.Path, machine: dict, rows: list[dict]) -> None:
    """Draw seconds an image over the image size, ours and PyTorch's, and scaling."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = list(dict.fromkeys(r["what"] for r in rows if r["section"] == "network"))
    figure, axes = plt.subplots(1, max(len(kinds), 1) + 1, figsize=(17, 3.6))
    for axis, kind in zip(axes, kinds):
        chosen = [r for r in rows if r["what"] == kind and "ours_s" in r]
        groups = dict.fromkeys((r["batch"], r["precision"]) for r in chosen)
        for batch, precision in groups:
            mine = sorted(
                (
                    r
                    for r in chosen
                    if (r["batch"], r["precision"]) == (batch, precision)
                ),
                key=lambda r: r["size"],
            )
            label = f"batch {batch}, {precision}"
            sizes = [r["size"] for r in mine]
            axis.plot(
                sizes, [r["ours_s"] / batch for r in mine], "o-", label=f"ours, {label}"
            )
            rivals = [r for r in mine if "torch_s" in r]
            axis.plot(
                [r["size"] for r in rivals],
                [r["torch_s"] / batch for r in rivals],
                "x--",
                label=f"PyTorch, {label}",
            )
        axis.set(title=kind, xlabel="image side, px", ylabel="seconds an image")
        axis.legend(fontsize=6)
    for what in ("keypoints", "devices"):
        chosen = [r for r in rows if r["what"] == what and "ours_s" in r]
        axes[-1].plot(
            [r["count"] for r in chosen],
            [r["ours_s"] for r in chosen],
            "o-",
            label=what,
        )
    axes[-1].set(xlabel="number", ylabel="seconds", xscale="log", yscale="log")
    axes[-1].set_title("matching by keypoints; step by devices", fontsize=9)
    axes[-1].legend(fontsize=6)
    figure.suptitle(machine["device"], fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)

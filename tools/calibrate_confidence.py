"""Calibrate the confidence of registrations on made pairs.

    python tools/calibrate_confidence.py --photographs DRIVE CHASE_DB1 ... --out DIR

registers pairs that are known to be registrable (photographs seen twice, half of them
hardly legible; synthetic visits) and pairs of different eyes, with every matcher named
by `--weights` and with SIFT; the first and SIFT also by the protocol of the papers. A
registration is right if its landmarks are within 5 px of a 768-pixel image on average.
Half of the photographs fit the logistic model, the other half check it. Writes
`confidence.json` (copy it to rkd_jax/matching/ to ship it), `reliability.png`,
`calibration.csv` (one registration a row) and prints the table of the picture.
FIRE and the multimodal pairs are refused.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import pathlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import made_pairs
import numpy as np

from rkd_jax import __version__
from rkd_jax.evaluation.ablation import PROTOCOLS
from rkd_jax.evaluation.charts import reliability_chart
from rkd_jax.evaluation.unrelated import eye_of, unrelated
from rkd_jax.files.atomic import atomic_path, write_text
from rkd_jax.images.pictures import encode_png
from rkd_jax.registration.base import BaseMatcher
from rkd_jax.registration.verdict.confidence import (
    FEATURES,
    ConfidenceModel,
    features,
    fit_logistic,
)

RIGHT_PX = 5.0
_BINS = np.linspace(0, 1, 11)


def make(
    folders: Sequence[str], *, registrable: int, strangers: int, seed: int
) -> Iterator[tuple[int, made_pairs.MadePair]]:
    """Yield (half, pair): a fifth of the registrable pairs is synthetic, two are hard.

    Photographs are parted into two halves by patient first, so that no eye helps to
    fit the model that it checks.
    """
    paths = made_pairs.photographs(folders)
    rng = np.random.default_rng(seed)
    patients = sorted({eye_of(path)[0] for path in paths})
    first = set(rng.permutation(patients)[: len(patients) // 2].tolist())
    for half in (0, 1):
        mine = [p for p in paths if (eye_of(p)[0] in first) == (half == 0)]
        folders_of = sorted({str(path.parent) for path in mine})
        groups = [[p for p in mine if str(p.parent) == f] for f in folders_of]
        synthetic = registrable // 10
        for number in range(registrable // 2 - synthetic):
            group = groups[number % len(groups)]
            path = group[rng.integers(len(group))]
            seed_of_pair, hard = int(rng.integers(1 << 30)), bool(number % 2)
            yield half, made_pairs.warped(path, seed_of_pair, hard=hard)
        for number in range(synthetic):
            yield half, made_pairs.synthetic(100_000 + half * 50_000 + number)
        pairs = unrelated(mine, strangers // 2, seed=seed + half)
        for fixed, moving in pairs:
            yield (
                half,
                made_pairs.MadePair(f"{fixed.name}|{moving.name}", fixed, moving, None),
            )


def registrations(
    matchers: dict[str, tuple[BaseMatcher, dict[str, Any]]],
    pairs: Iterator[tuple[int, made_pairs.MadePair]],
) -> Iterator[dict[str, object]]:
    """Register every pair with every matcher and method; yield a row each."""
    for number, (half, pair) in enumerate(pairs):
        if pair.points is not None and len(pair.points) < 4:
            continue
        for name, (matcher, method) in matchers.items():
            result = matcher.register(pair.fixed, pair.moving, **method)
            error = np.inf
            if result.transform is not None and pair.points is not None:
                mapped = result.transform.apply(pair.points[:, 2:])
                away = np.linalg.norm(mapped - pair.points[:, :2], axis=1)
                error = float(np.mean(away)) * 768 / max(result.fixed_size)
            row = {
                "half": half,
                "matcher": name,
                "pair": pair.name,
                "registrable": pair.points is not None,
                "error_px": error,
                "right": bool(error < RIGHT_PX),
                "implausible": result.transform is None
                or (result.confidence == 0.0 and bool(result.reason)),
            }
            values = np.full(len(FEATURES), np.nan)
            if result.transform is not None:
                values = features(result.evidence)
            yield {**row, **dict(zip(FEATURES, values, strict=True))}
        if number % 20 == 0:
            print(f"{number} pairs", file=sys.stderr, flush=True)


def reliability(predicted: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Compare confidence and truth in ten bins.

    Returns:
        Rows of "low", "high", "pairs", "confidence" (mean) and "right" (share).
    """
    rows = []
    index = np.clip(np.digitize(predicted, _BINS) - 1, 0, len(_BINS) - 2)
    for number in range(len(_BINS) - 1):
        members = index == number
        if members.any():
            rows.append(
                {
                    "low": float(_BINS[number]),
                    "high": float(_BINS[number + 1]),
                    "pairs": int(members.sum()),
                    "confidence": float(predicted[members].mean()),
                    "right": float(right[members].mean()),
                }
            )
    return rows


def summary(predicted: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Score confidences: Brier score, expected calibration error, wrong decisions."""
    rows = reliability(predicted, right)
    total = len(predicted)
    gaps = [r["pairs"] / total * abs(r["confidence"] - r["right"]) for r in rows]
    accepted = predicted >= 0.5
    return {
        "registrations": total,
        "right": int(right.sum()),
        "brier": float(np.mean((predicted - right) ** 2)),
        "calibration_error": float(sum(gaps)),
        "right_but_refused": int((right & ~accepted).sum()),
        "wrong_but_accepted": int((~right & accepted).sum()),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--photographs", nargs="+", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument(
        "--weights",
        nargs="*",
        default=[],
        metavar="FILE",
        help="networks beside SIFT, by packaged name or file",
    )
    parser.add_argument("--registrable", type=int, default=300)
    parser.add_argument("--unrelated", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    from rkd_jax.registration.matcher import load_matcher

    args = _parser().parse_args(argv)
    out = pathlib.Path(args.out)
    matchers: dict[str, tuple[BaseMatcher, dict[str, Any]]] = {
        name: (load_matcher(name), {}) for name in args.weights
    }
    matchers["sift"] = load_matcher(method="sift"), {}
    (paper,) = (protocol for protocol in PROTOCOLS if protocol.paper)
    for name in ("sift", *args.weights[:1]):
        method = "sift" if name == "sift" else "network"
        file = None if name == "sift" else name
        matcher = load_matcher(file, method=method, options=paper.options())
        matchers[f"{name}, papers' protocol"] = matcher, dict(paper.method)
    pairs = make(
        args.photographs,
        registrable=args.registrable,
        strangers=args.unrelated,
        seed=args.seed,
    )
    rows = list(registrations(matchers, pairs))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "calibration.csv", text.getvalue())
    source = {
        "photographs": [pathlib.Path(folder).name for folder in args.photographs],
        "pairs": len(rows) // len(matchers),
        "registrable": args.registrable,
        "unrelated": args.unrelated,
        "seed": args.seed,
        "version": __version__,
        "weights_sha256": {
            name: matchers[name][0].settings()["weights_sha256"]
            for name in args.weights
        },
    }
    return calibrate(rows, out, source)


def calibrate(
    rows: Sequence[dict[str, object]], out: pathlib.Path, source: dict[str, Any]
) -> int:
    """Fit on half 0, check on half 1, write model (with its source) and picture."""
    values = np.array([[row[name] for name in FEATURES] for row in rows], float)
    half, right, bad = (
        np.array([row[name] for row in rows])
        for name in ("half", "right", "implausible")
    )
    usable = np.isfinite(values).all(axis=1)
    # Implausible ones are refused without the model, yet show it what chance gives.
    fitting = usable & (half == 0)
    model = fit_logistic(values[fitting], right[fitting])

    def predicted(chosen: np.ndarray) -> np.ndarray:
        logits = model.logits(np.where(usable[:, None], values, 0.0)[chosen])
        sure = 1.0 / (1.0 + np.exp(-np.clip(logits, -60, 60)))
        return np.where((usable & ~bad)[chosen], sure, 0.0)

    check = half == 1
    record = {
        **source,
        "matchers": sorted({str(row["matcher"]) for row in rows}),
        "right_px": RIGHT_PX,
        "fitted": summary(predicted(half == 0), right[half == 0]),
        "checked": summary(predicted(check), right[check]),
    }
    model = ConfidenceModel(
        model.weights, model.bias, model.center, model.scale, record
    )
    write_text(out / "confidence.json", model.to_json())
    curve = reliability(predicted(check), right[check])
    chart = reliability_chart(curve, f"{check.sum()} registrations kept apart")
    with atomic_path(out / "reliability.png") as part:
        part.write_bytes(encode_png(chart))
    for row in curve:
        print(
            f"{row['low']:.1f} to {row['high']:.1f}: {row['pairs']:5} registrations, "
            f"confidence {row['confidence']:.3f}, right {row['right']:.3f}"
        )
    print(json.dumps(record, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

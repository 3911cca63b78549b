"""Calibrate the expected error of registrations on made pairs.

    python tools/calibrate_error.py --photographs DRIVE CHASE_DB1 ... --out DIR

registers made pairs whose map is known (`made_visits.second_visit`: blurred, enlarged,
compressed and dark second photographs, eyes whose retina moved), and fits what the
error of a landmark is from what the matches around it say. A landmark is marked by
hand: .5 px of the file (standard deviation, in x and in y) beside its true place. Half
of the patients fit the model, the other half check it. Writes `rows.npz` (a run that is
started again uses it), `model.json` (copy it to rkd_jax/registration/expected_error/ to
ship it) and prints how often the error is at most each level. FIRE and the multimodal
pairs are refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import pathlib
import sys
from collections.abc import Sequence

import made_pairs
import made_visits
import numpy as np
from scipy.optimize import minimize

from rkd_jax import __version__
from rkd_jax.evaluation.unrelated import eye_of
from rkd_jax.files.atomic import write_bytes, write_text
from rkd_jax.registration.expected_error.estimate import problem_of
from rkd_jax.registration.expected_error.evidence import distance_px, features
from rkd_jax.registration.expected_error.model import ErrorModel
from rkd_jax.registration.matcher import Matcher, load_matcher

MARKING_PX = 0.5
SHARES = (0.5, 0.8, 0.9, 0.95)
_OF_PAIR = 40  # landmarks of one pair: those of a pair resemble each other
_RIDGE = 1e-5  # keeps weights of no use from drifting
_SMOOTH = 0.05  # of the logarithm of an error, within which the loss is rounded


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Landmarks of registered pairs.

    Attributes:
        features: `[N, F]`.
        error_px: `[N]` in pixels of a 768-pixel image.
        pair: `[N]` int, number of the pair.
        patient: `[N]` str.
        cause: `[N]` str.
    """

    features: np.ndarray
    error_px: np.ndarray
    pair: np.ndarray
    patient: np.ndarray
    cause: np.ndarray

    def subset(self, kept: np.ndarray) -> Rows:
        """Return the landmarks that a mask keeps."""
        return Rows(*(values[kept] for values in vars(self).values()))

    def weight(self) -> np.ndarray:
        """Return the weight of each landmark: a pair has one in all."""
        _, index, counts = np.unique(self.pair, return_inverse=True, return_counts=True)
        return 1.0 / counts[index]


def measure(
    matcher: Matcher, pair: made_pairs.MadePair, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return features and errors of landmarks of a pair; None if it is not accepted."""
    if len(pair.points) < _OF_PAIR:
        return None
    found = matcher.register(pair.fixed, pair.moving)
    if not found.ok:
        return None
    chosen = pair.points[rng.choice(len(pair.points), _OF_PAIR, replace=False)]
    rows = features(chosen[:, 2:], problem_of(found), found.inliers, found.scale)
    marked = chosen[:, :2] + rng.normal(0, MARKING_PX, (len(chosen), 2))
    away = found.transform.apply(chosen[:, 2:]) - marked
    return rows, found.scale * np.linalg.norm(away, axis=1)


def collect(folders: Sequence[str], count: int, seed: int) -> Rows:
    """Register made pairs with the default network and measure their landmarks."""
    matcher, found = load_matcher(search=False), []
    for number, path, cause, seed_of_pair in made_visits.made(folders, count, seed):
        pair = made_visits.second_visit(path, seed_of_pair, cause=cause)
        measured = measure(matcher, pair, np.random.default_rng(seed_of_pair))
        if measured is not None:
            size = len(measured[1])
            names = [np.repeat(v, size) for v in (number, eye_of(path)[0], cause)]
            found.append((*measured, *names))
        if number % 20 == 0:
            print(f"{number} pairs, {len(found)} registered", file=sys.stderr)
    return Rows(*(np.concatenate(values) for values in zip(*found, strict=True)))


def fit_level(rows: Rows, share: float) -> np.ndarray:
    """Fit the weights `[F]` of the level that the error is below in a share of cases.

    Quantile regression of the error's logarithm (Koenker and Bassett 1978).
    """
    squares, weight = rows.features**2, rows.weight()
    target = np.log(np.maximum(rows.error_px, 1e-3))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        parts = np.exp(logs)
        level = squares @ parts
        over = target - 0.5 * np.log(level)
        value = share * over + _SMOOTH * np.logaddexp(0, -over / _SMOOTH)
        slope = share - 1 / (1 + np.exp(np.clip(over / _SMOOTH, -500, 500)))
        gradient = -(weight * slope / (2 * level)) @ squares * parts
        value = float(weight @ value) + _RIDGE * float(np.sum((logs + 6) ** 2))
        return value, gradient + 2 * _RIDGE * (logs + 6)

    start = np.log(0.1 / (squares.mean(axis=0) + 1e-9) / squares.shape[1])
    bounds = [(-14, 6)] * squares.shape[1]
    found = minimize(loss, np.clip(start, -12, 4), jac=True, bounds=bounds)
    return np.exp(0.5 * found.x)


def share_below(rows: Rows, level: np.ndarray) -> float:
    """Return in which share of cases the error is at most a level `[N]`."""
    return float(np.average(rows.error_px <= level, weights=rows.weight()))


def halves(rows: Rows, seed: int) -> tuple[Rows, Rows]:
    """Part the landmarks by patient."""
    patients = np.unique(rows.patient)
    chosen = np.random.default_rng(seed).permutation(patients)[: len(patients) // 2]
    first = np.isin(rows.patient, chosen)
    return rows.subset(first), rows.subset(~first)


def known(rows: Rows, farthest_px: float) -> np.ndarray:
    """Return where enough matches are near, `[N]` bool."""
    return distance_px(rows.features) <= farthest_px


def calibrate(
    rows: Rows, source: dict[str, object], *, farthest_px: float, largest_px: float
) -> ErrorModel:
    """Fit on half of the patients, check on the other half, print the table."""
    rows = rows.subset(known(rows, farthest_px))
    fitting, checking = halves(rows, seed=0)
    weights = {str(share): fit_level(fitting, share) for share in SHARES}
    checked: dict[str, object] = {}
    print("| asked | found, fitted | found, checked |\n|---|---|---|")
    for share in SHARES:
        found = [
            share_below(part, np.sqrt(part.features**2 @ weights[str(share)] ** 2))
            for part in (fitting, checking)
        ]
        checked[str(share)] = round(found[1], 4)
        print(f"| {share} | {found[0]:.3f} | {found[1]:.3f} |")
    bound = np.sqrt(checking.features**2 @ weights["0.9"] ** 2)
    by_cause = {
        str(cause): round(share_below(checking.subset(at), bound[at]), 4)
        for cause in np.unique(checking.cause)
        for at in [checking.cause == cause]
    }
    print("bound of .9 by cause:", by_cause)
    record = {
        **source,
        "marking_px": MARKING_PX,
        "pairs_fitted": len(np.unique(fitting.pair)),
        "pairs_checked": len(np.unique(checking.pair)),
        "checked": checked,
        "checked_bound_by_cause": by_cause,
    }
    return ErrorModel(weights, farthest_px, largest_px, record)


def rows_of(
    path: pathlib.Path, args: argparse.Namespace, source: dict[str, object]
) -> Rows:
    """Read the rows of an earlier run from the same source, or make them.

    Raises:
        ValueError: they are of another source: photographs, count, seed or version.
    """
    wanted = json.dumps(source)
    if not path.is_file():
        rows = collect(args.photographs, args.count, args.seed)
        data = io.BytesIO()
        np.savez_compressed(data, source=wanted, **vars(rows))
        write_bytes(path, data.getvalue())
    with np.load(path) as stored:
        arrays = dict(stored)
    found = str(arrays.pop("source", "none"))
    if found != wanted:
        raise ValueError(
            f"{path}: expected rows of {wanted}, found {found}; give another --out"
        )
    return Rows(**arrays)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--photographs", nargs="+", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--farthest_px", type=float, default=100.0)
    parser.add_argument("--largest_px", type=float, default=15.0)
    args = parser.parse_args(argv)
    out = pathlib.Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    source = {
        "photographs": [pathlib.Path(folder).name for folder in args.photographs],
        "pairs": args.count,
        "seed": args.seed,
        "version": __version__,
    }
    model = calibrate(
        rows_of(out / "rows.npz", args, source),
        source,
        farthest_px=args.farthest_px,
        largest_px=args.largest_px,
    )
    write_text(out / "model.json", model.to_json())
    print(json.dumps(model.calibration, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

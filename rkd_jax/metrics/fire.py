"""Score registrations by the FIRE protocol, apart from any network.

Control points of the moving image are mapped to the fixed one; a pair's error is the
mean distance over its points, in pixels of the files. The AUC of a class (S, P, A) is
the mean over thresholds of 1 to 25 px of the share of its pairs strictly below; mAUC is
the mean over classes. Pair P37 has a known wrong annotation: the main numbers leave it
out, as everyone does, and a second set has it in.

Source: FIRE (Hernandez-Matas et al. 2017); AUC and "inaccurate" as in SuperRetina (Liu
et al. 2022). We differ: subsets are accepted and counted, and intervals are given.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.metrics.bootstrap import group_intervals
from rkd_jax.metrics.fire_pairs import (
    PairResult,
    classify,
    group_eyes,
    pair_errors,
)

__all__ = [
    "PairResult",
    "auc",
    "classify",
    "group_eyes",
    "pair_errors",
    "pair_row",
    "paired_difference",
    "score",
    "summary_rows",
]

CLASSES = ("S", "P", "A")
EXCLUDED = "P37"
THRESHOLDS_PX = tuple(range(1, 26))

_PERCENT = ("failed", "inaccurate", "acceptable")


def auc(
    mean_errors: Sequence[float] | np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS_PX,
) -> float:
    """Average over thresholds the share of pairs with an error strictly below.

    Args:
        mean_errors: `[M]` errors of pairs in pixels; inf or NaN for failed pairs,
            which are missed at every threshold.
        thresholds: in pixels.

    Returns:
        A number in 0..1; NaN without pairs.

    >>> auc([0.5, 5.0, float("inf")])  # (25 + 20 + 0) / 75
    0.6
    """
    scores = _pair_scores(mean_errors, thresholds)
    return float(np.mean(scores)) if scores.size else float("nan")


def score(
    pairs: Sequence[PairResult],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Score a run over FIRE or a subset of it.

    Args:
        pairs: one result a pair; names must differ.
        resamples: bootstrap draws, at least 1.
        seed: of the bootstrap; the same seed gives the same intervals.
        confidence: of the intervals, in 0..1.

    Returns:
        The numbers without P37, and under "with_P37" the same with every pair given.
        Ready for JSON; None stands for "no such pair":

        - "S", "P", "A": AUC of each class; "mAUC": mean over the classes that are
          present ("classes_in_mAUC"); "pooled": AUC over all pairs at once.
        - "mean_landmark_error": pixels, mean over the pairs that did not fail of their
          mean error, and by class in "mean_landmark_error_by_class".
        - "failed", "inaccurate", "acceptable": per cent of pairs; "counts": numbers.
        - "pairs": number of pairs by class and in "all"; "eyes": number of eyes.
        - "intervals": percentile bootstrap `[low, high]` of each number above, eyes
          drawn with replacement. A draw in which a class is absent is left out of the
          interval of that class and of mAUC. None with fewer than two eyes.

    Raises:
        ValueError: no pairs, a name given twice, or bad bootstrap settings.

    >>> perfect = PairResult("S01", False, np.zeros(10), eye=0)
    >>> lost = PairResult("A02", True, None, eye=1)
    >>> result = score([perfect, lost], resamples=10)
    >>> result["S"], result["P"], result["A"], result["mAUC"], result["failed"]
    (1.0, None, 0.0, 0.5, 50.0)
    """
    if not pairs:
        raise ValueError("no pairs to score: give at least one PairResult")
    names = [pair.short_name for pair in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"pairs given more than once: {', '.join(twice)}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"resamples is {resamples} and confidence {confidence}; expected at least "
            "1 and a number between 0 and 1"
        )
    draws = {"resamples": resamples, "seed": seed, "confidence": confidence}
    kept = [pair for pair in pairs if pair.short_name != EXCLUDED]
    return {
        "protocol": (
            "AUC: mean over 1..25 px of the share of pairs with mean error strictly "
            f"below; mAUC: mean of S, P, A; {EXCLUDED} left out"
        ),
        **_numbers(kept, **draws),
        f"with_{EXCLUDED}": _numbers(pairs, **draws),
        "bootstrap": {**draws, "unit": "eye"},
    }


def paired_difference(
    first: Sequence[PairResult],
    second: Sequence[PairResult],
    *,
    resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Compare two runs over the same pairs: AUC of the first less that of the second.

    Args:
        first: results of one run.
        second: of the other one, of the same pairs in any order.
        resamples: bootstrap draws of eyes; both runs lose and gain the same pairs.
        seed: of the bootstrap.
        confidence: of the intervals, in 0..1.

    Returns:
        "S", "P", "A", "mAUC", "pooled": differences (None without pairs), and under
        "intervals" the percentile bootstrap `[low, high]` of each.

    Raises:
        ValueError: the runs are of other pairs.

    >>> better = [PairResult("S01", False, np.zeros(10), eye=0)]
    >>> worse = [PairResult("S01", False, np.full(10, 5.0), eye=0)]
    >>> round(paired_difference(better, worse)["mAUC"], 3)
    0.2
    """
    one, other = ({p.short_name: p for p in run} for run in (first, second))
    if one.keys() != other.keys() or not one:
        lonely = sorted(one.keys() ^ other.keys())
        raise ValueError(f"the runs are of different pairs: {', '.join(lonely)}")
    names = [name for name in sorted(one) if name != EXCLUDED]
    scores = [
        _pair_scores([run[name].mean_error for name in names], THRESHOLDS_PX)
        for run in (one, other)
    ]
    gain = scores[0] - scores[1]
    category = np.array([one[name].category for name in names], dtype="U1")
    means = {name: (gain, category == name) for name in CLASSES}
    means["pooled"] = (gain, np.ones(len(names), dtype=bool))
    numbers = {name: _mean(*parts) for name, parts in means.items()}
    present = [name for name in CLASSES if numbers[name] is not None]
    numbers["mAUC"] = float(np.mean([numbers[name] for name in present]))
    intervals = group_intervals(
        means,
        {"mAUC": present},
        np.array([one[name].eye for name in names]),
        resamples=resamples,
        seed=seed,
        confidence=confidence,
    )
    return {**numbers, "intervals": intervals}


def summary_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lay a `score` out as table rows: one a class present, then mAUC and pooled.

    Args:
        result: what `score` returned, or its part "with_P37".

    Returns:
        Dicts with keys "score", "pairs", "auc", "low", "high",
        "mean_landmark_error"; None where a number does not exist.

    >>> pair = PairResult("S01", False, np.full(10, 5.0), eye=0)
    >>> [(row["score"], row["auc"]) for row in summary_rows(score([pair]))]
    [('S', 0.8), ('mAUC', 0.8), ('pooled', 0.8)]
    """
    rows = []
    for name in (*CLASSES, "mAUC", "pooled"):
        if name in CLASSES and not result["pairs"][name]:
            continue
        by_class = result["mean_landmark_error_by_class"]
        error = by_class[name] if name in CLASSES else result["mean_landmark_error"]
        low, high = result["intervals"][name] or (None, None)
        rows.append(
            {
                "score": name,
                "pairs": result["pairs"].get(name, result["pairs"]["all"]),
                "auc": result[name],
                "low": low,
                "high": high,
                "mean_landmark_error": error,
            }
        )
    return rows


def pair_row(pair: PairResult) -> dict[str, Any]:
    """Lay one pair out as a row of a table; errors are None where it failed.

    >>> pair_row(PairResult("A01", False, np.array([1.0, 3.0]), 4))["mean_error"]
    2.0
    """
    found = pair.outcome != "failed"
    return {
        "pair": pair.short_name,
        "category": pair.category,
        "eye": pair.eye,
        "outcome": pair.outcome,
        "mean_error": float(np.mean(pair.errors)) if found else None,
        "median_error": float(np.median(pair.errors)) if found else None,
        "max_error": float(np.max(pair.errors)) if found else None,
        "matches": pair.n_matches,
        "inliers": pair.n_inliers,
    }


def _pair_scores(
    mean_errors: Sequence[float] | np.ndarray, thresholds: Sequence[float]
) -> np.ndarray:
    """Share of thresholds that each pair passes, `[M]`: their mean is the AUC."""
    errors = np.asarray(mean_errors, dtype=np.float64)
    limits = np.asarray(thresholds, dtype=np.float64)
    return (errors[:, None] < limits[None, :]).mean(axis=1)


def _numbers(pairs: Sequence[PairResult], **draws: Any) -> dict[str, Any]:
    """Compute one set of numbers and their intervals."""
    category = np.array([pair.category for pair in pairs], dtype="U1")
    outcome = np.array([pair.outcome for pair in pairs], dtype="U10")
    mean_error = np.array([pair.mean_error for pair in pairs], dtype=np.float64)
    eyes = np.array([pair.eye for pair in pairs], dtype=np.int64)
    scores = _pair_scores(mean_error, THRESHOLDS_PX)
    found = outcome != "failed"
    finite_error = np.where(found, mean_error, 0.0)
    everything = np.ones(len(pairs), dtype=bool)

    # Each number is a mean of `values` over the pairs in `members`.
    means = {name: (scores, category == name) for name in CLASSES}
    means["pooled"] = (scores, everything)
    means["mean_landmark_error"] = (finite_error, found)
    for name in _PERCENT:
        means[name] = (100.0 * (outcome == name), everything)
    by_class = {
        name: _mean(finite_error, found & (category == name)) for name in CLASSES
    }
    numbers = {name: _mean(*parts) for name, parts in means.items()}
    present = [name for name in CLASSES if numbers[name] is not None]
    numbers["mAUC"] = (
        float(np.mean([numbers[name] for name in present])) if present else None
    )
    return {
        **numbers,
        "classes_in_mAUC": "".join(present),
        "mean_landmark_error_by_class": by_class,
        "counts": {name: int(np.sum(outcome == name)) for name in _PERCENT},
        "pairs": {name: int(np.sum(category == name)) for name in CLASSES}
        | {"all": len(pairs)},
        "eyes": int(np.unique(eyes).size),
        "intervals": group_intervals(means, {"mAUC": present}, eyes, **draws),
    }


def _mean(values: np.ndarray, members: np.ndarray) -> float | None:
    """Mean of `values` over `members`, None over nothing."""
    return float(np.mean(values[members])) if members.any() else None

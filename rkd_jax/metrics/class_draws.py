"""Scores of a classifier on groups of images that are drawn with replacement.

Thousands of draws, so all at once: an image of a group that is drawn twice counts
twice. The scores are those of `rkd_jax.metrics.classification`. A draw that lacks a
class of the data has none of the scores that are averages over classes: every draw
estimates the same number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from rkd_jax.metrics.bootstrap import RESAMPLES, SEED, draw_groups
from rkd_jax.metrics.calibration import BINS, bin_of, brier
from rkd_jax.metrics.classification import KAPPA, check, score_names

_AT_ONCE = 2**22  # numbers in a table of draws and images: 32 MB


def drawn(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    *,
    ordered: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, np.ndarray]:
    """Return the scores of groups drawn with replacement.

    Args:
        labels: int `[N]`.
        probabilities: `[N, C]`.
        groups: `[N]`, of any kind that can be sorted; such as patients.
        ordered: see `classification.scores`.
        resamples: number of draws.
        seed: equal seeds draw equal groups.

    Returns:
        name -> `[resamples]`; NaN where a draw has no such number.

    Raises:
        ValueError: see `classification.check`.

    >>> found = drawn(np.array([0, 1]), np.eye(2), np.array([0, 1]), resamples=50)
    >>> np.unique(found["accuracy"]).tolist()
    [1.0]
    """
    check(labels, probabilities)
    names, group = np.unique(groups, return_inverse=True)
    weights = draw_groups(len(names), resamples=resamples, seed=seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = _of_counts(labels, probabilities, group, weights, ordered=ordered)
        found["auc_ovr"], found["auc_ovo"] = _areas(
            labels, probabilities, group, weights
        )
    return {name: found[name] for name in score_names(ordered)}


def _sums(values: np.ndarray, group: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the sums `[R, ...]` of values `[N, ...]` over the images of each draw."""
    totals = np.zeros((weights.shape[1], *values.shape[1:]))
    np.add.at(totals, group, values)
    return np.tensordot(weights.astype(np.float64), totals, axes=1)


def _of_counts(
    labels: np.ndarray,
    probabilities: np.ndarray,
    group: np.ndarray,
    weights: np.ndarray,
    *,
    ordered: bool,
) -> dict[str, np.ndarray]:
    """Return all scores that are functions of sums over images."""
    count, predicted = probabilities.shape[1], probabilities.argmax(axis=1)
    one_hot = np.eye(count)
    pairs = one_hot[labels][:, :, None] * one_hot[predicted][:, None, :]
    matrix = _sums(pairs, group, weights)
    total = matrix.sum(axis=(1, 2))
    hits = np.diagonal(matrix, axis1=1, axis2=2)
    true, called = matrix.sum(axis=2), matrix.sum(axis=1)
    present = np.unique(labels)
    true, called, hits = (part[:, present] for part in (true, called, hits))
    precision = np.where(true > 0, hits / np.maximum(called, 1.0), np.nan)
    recall = (hits / true).mean(axis=1)
    found = {
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": recall,
        "macro_precision": precision.mean(axis=1),
        "macro_recall": recall,
        "macro_f1": np.where(true > 0, 2 * hits / (true + called), np.nan).mean(axis=1),
        "brier": _sums(brier(labels, probabilities), group, weights) / total,
        "ece": _calibration_error(labels, probabilities, group, weights),
    }
    if ordered:
        found[KAPPA] = _kappa(matrix)
    return found


def _kappa(matrix: np.ndarray) -> np.ndarray:
    """Return quadratic kappa of confusion matrices `[R, C, C]`."""
    grades = np.arange(matrix.shape[1])
    apart = (grades[:, None] - grades) ** 2.0
    chance = matrix.sum(axis=2)[:, :, None] * matrix.sum(axis=1)[:, None, :]
    chance /= matrix.sum(axis=(1, 2), keepdims=True)
    return 1.0 - (matrix * apart).sum(axis=(1, 2)) / (chance * apart).sum(axis=(1, 2))


def _calibration_error(
    labels: np.ndarray,
    probabilities: np.ndarray,
    group: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    confidence = probabilities.max(axis=1)
    gap = confidence - (probabilities.argmax(axis=1) == labels)
    members = np.eye(BINS)[bin_of(confidence)]
    gaps = np.abs(_sums(members * gap[:, None], group, weights)).sum(axis=1)
    return gaps / _sums(np.ones(len(labels)), group, weights)


def _areas(
    labels: np.ndarray,
    probabilities: np.ndarray,
    group: np.ndarray,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean areas `[R]`: one class against all others, one against one."""
    present = np.unique(labels).tolist()
    if len(present) < 2:
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for some in _blocks(weights, len(labels)):
        rest = [
            _area(probabilities[:, number], labels == number, some, group)
            for number in present
        ]
        pairs = []
        for one, other in itertools.permutations(present, 2):
            among = (labels == one) | (labels == other)
            score, positive = probabilities[among, one], labels[among] == one
            pairs.append(_area(score, positive, some, group[among]))
        parts.append((np.mean(rest, axis=0), np.mean(pairs, axis=0)))
    against_all, in_pairs = map(np.concatenate, zip(*parts, strict=True))
    return against_all, in_pairs


def _blocks(weights: np.ndarray, images: int) -> Iterator[np.ndarray]:
    """Yield the draws in parts whose tables fit into memory."""
    step = max(1, _AT_ONCE // images)
    for start in range(0, len(weights), step):
        yield weights[start : start + step]


def _area(
    score: np.ndarray, positive: np.ndarray, weights: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """Return the area `[R]` of the ROC: the share of pairs in order, ties by half."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    counts = weights[:, group[order]].astype(np.float64)
    true = np.add.reduceat(counts * positive[order], starts, axis=1)
    false = np.add.reduceat(counts * ~positive[order], starts, axis=1)
    below = np.cumsum(false, axis=1) - false / 2.0
    return (true * below).sum(axis=1) / (true.sum(axis=1) * false.sum(axis=1))

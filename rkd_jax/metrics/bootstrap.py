"""Bootstrap intervals over groups of correlated samples.

Ours, since `scipy.stats.bootstrap` draws single samples and knows no groups.
"""

from collections.abc import Mapping, Sequence

import numpy as np

RESAMPLES, SEED, CONFIDENCE = 2000, 0, 0.95


def group_intervals(
    means: Mapping[str, tuple[np.ndarray, np.ndarray]],
    averages: Mapping[str, Sequence[str]],
    groups: np.ndarray,
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> dict[str, list[float] | None]:
    """Bound means by the percentile bootstrap, drawing whole groups with replacement.

    Args:
        means: name -> (values `[M]`, members bool `[M]`): the mean of the values over
            the members.
        averages: name -> names of `means` whose plain average is bounded as well.
        groups: int `[M]`, the group of each sample.
        resamples: number of draws.
        seed: of the draws; the same seed gives the same intervals.
        confidence: in 0..1.

    Returns:
        name -> `[low, high]`. A draw without any member of a mean is left out of its
        interval, and of every average it is part of. None if no draw is left, or with
        fewer than two groups.

    >>> values, members = np.array([1.0, 1.0, 1.0]), np.ones(3, dtype=bool)
    >>> group_intervals(
    ...     {"m": (values, members)}, {}, np.arange(3),
    ...     resamples=9, seed=0, confidence=0.95,
    ... )
    {'m': [1.0, 1.0]}
    """
    names, group = np.unique(groups, return_inverse=True)
    if names.size < 2:
        return {name: None for name in (*means, *averages)}
    weights = draw_groups(names.size, resamples=resamples, seed=seed)[:, group]
    drawn = {}
    for name, (values, members) in means.items():
        total = weights @ members.astype(np.float64)
        absent = total == 0
        value = weights @ (values * members) / np.where(absent, 1.0, total)
        drawn[name] = np.where(absent, np.nan, value)
    for name, parts in averages.items():
        # NaN where any part is absent, so that every draw estimates the same number.
        columns = [drawn[part] for part in parts] or [np.full(resamples, np.nan)]
        drawn[name] = np.mean(columns, axis=0)
    return {name: percentiles(values, confidence) for name, values in drawn.items()}


def draw_groups(count: int, *, resamples: int, seed: int) -> np.ndarray:
    """Draw groups with replacement: how often each draw has each group.

    Args:
        count: number of groups, and of groups in a draw.
        resamples: number of draws.
        seed: the same seed gives the same draws.

    Returns:
        int64 `[resamples, count]`.

    >>> draw_groups(3, resamples=2, seed=0).sum(axis=1).tolist()
    [3, 3]
    """
    share = np.full(count, 1.0 / count)
    return np.random.default_rng(seed).multinomial(count, share, size=resamples)


def percentiles(values: np.ndarray, confidence: float) -> list[float] | None:
    """Return the interval that holds the middle share of bootstrapped values.

    Args:
        values: `[resamples]`; what is not finite is left out.
        confidence: the share, in 0..1.

    Returns:
        `[low, high]`, or None if no value is left.

    >>> percentiles(np.array([1.0, 2.0, 3.0, np.nan]), 0.5)
    [1.5, 2.5]
    """
    kept = values[np.isfinite(values)]
    tail = (1.0 - confidence) / 2.0
    return np.quantile(kept, [tail, 1.0 - tail]).tolist() if kept.size else None


def intervals(
    values: Mapping[str, np.ndarray],
    groups: int,
    *,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float] | None]:
    """Return the interval of each score.

    Args:
        values: name -> `[resamples]`; NaN where a draw has no such number.
        groups: how many were drawn from; with one there are no intervals.
        confidence: in 0..1.

    >>> intervals({"f1": np.array([0.1, 0.2, 0.3])}, 3, confidence=1.0)
    {'f1': [0.1, 0.3]}
    """
    if groups < 2:
        return dict.fromkeys(values)
    return {name: percentiles(value, confidence) for name, value in values.items()}


def paired_difference(
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    groups: int,
    *,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float] | None]:
    """Return the interval of each score of one method less that of another.

    Both are compared on the same draws, so that what is hard in a group is hard for
    both (*paired*).

    Args:
        first: name -> `[resamples]`, from the same draws as
        second: the other method.
        groups: see `intervals`.
        confidence: in 0..1.

    >>> gain = paired_difference({"f1": np.array([2.0, 3.0])},
    ...     {"f1": np.array([1.0, 1.0])}, 2, confidence=1.0)
    >>> gain
    {'f1': [1.0, 2.0]}
    """
    gains = {name: first[name] - second[name] for name in first}
    return intervals(gains, groups, confidence=confidence)

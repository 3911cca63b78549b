"""Bootstrap intervals over groups of correlated samples.

Ours, since `scipy.stats.bootstrap` draws single samples and knows no groups.
"""

from collections.abc import Mapping, Sequence

import numpy as np


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
    rng = np.random.default_rng(seed)
    share = np.full(names.size, 1.0 / names.size)
    weights = rng.multinomial(names.size, share, size=resamples)[:, group]
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
    tail = (1.0 - confidence) / 2.0
    intervals: dict[str, list[float] | None] = {}
    for name, values in drawn.items():
        kept = values[np.isfinite(values)]
        intervals[name] = (
            np.quantile(kept, [tail, 1.0 - tail]).tolist() if kept.size else None
        )
    return intervals

"""Choose points that lie far from each other."""

from __future__ import annotations

import numpy as np


def spread_out(points: np.ndarray, count: int) -> np.ndarray:
    """Choose points far from each other: each next one is the farthest, `[K]`.

    Args:
        points: `[N, 2]`.
        count: at most so many; fewer where points coincide.

    >>> spread_out(np.array([[0.0, 0], [5, 0], [9, 0], [4, 0]]), 2).tolist()
    [1, 0]
    """
    if not len(points):
        return np.zeros(0, int)
    chosen = [int(np.argmin(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))]
    away = np.full(len(points), np.inf)
    while len(chosen) < min(count, len(points)):
        away = np.minimum(away, np.sum((points - points[chosen[-1]]) ** 2, axis=1))
        if away.max() < 1e-6:
            break
        chosen.append(int(np.argmax(away)))
    return np.array(chosen)

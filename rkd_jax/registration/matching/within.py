"""Pairs of points within a radius of each other, found by a grid of cells."""

from __future__ import annotations

import numpy as np


def pairs_within(
    points0: np.ndarray, points1: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Find all pairs of points at most `radius` apart.

    Cells are as wide as the radius, so that the neighbors of a point lie in three rows
    of three cells. SciPy's k-d tree finds the same pairs as fast, but its import takes
    longer than all searches of a registration.

    Args:
        points0: `[N, 2]` float64, finite.
        points1: `[M, 2]` float64, finite.
        radius: above 0, in the same units.

    Returns:
        Row numbers in `points0` and in `points1`, `[P]` each.

    Example:
        >>> line = np.array([[0.0, 0.0], [3.0, 0.0], [9.0, 0.0]])
        >>> [rows.tolist() for rows in pairs_within(line[:1], line, 4.0)]
        [[0, 0], [0, 1]]
    """
    nothing = np.zeros(0, np.int64)
    if not len(points0) or not len(points1):
        return nothing, nothing
    low = points1.min(axis=0)
    cells1 = np.floor((points1 - low) / radius).astype(np.int64)
    last = cells1.max(axis=0) + 1
    # Far points come into an empty cell around the grid. Rows of cells are three wider
    # than the grid, so that a search beyond an end finds none of the next row.
    cells0 = np.floor(np.clip((points0 - low) / radius, -1, last)).astype(np.int64)
    width = last[0] + 3
    keys = cells1 @ (1, width)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    found0, found1 = [nothing], [nothing]
    for row in (-1, 0, 1):
        middle = cells0 @ (1, width) + row * width
        first = np.searchsorted(keys, middle - 1, "left")
        counts = np.searchsorted(keys, middle + 1, "right") - first
        rows0 = np.repeat(np.arange(len(points0)), counts)
        step = np.arange(len(rows0)) - np.repeat(np.cumsum(counts) - counts, counts)
        found0.append(rows0)
        found1.append(order[np.repeat(first, counts) + step])
    rows0, rows1 = np.concatenate(found0), np.concatenate(found1)
    away = points0[rows0] - points1[rows1]
    near = np.sum(away * away, axis=1) <= radius * radius
    return rows0[near], rows1[near]

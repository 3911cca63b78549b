"""The expected error of a pair on the grid of a picture: levels, contours, masks."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap

_NICE = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100)

_SHARES = (10, 98)  # percent of the overlap, between whose errors the contours are


def levels(error: ErrorMap, count: int = 3) -> list[float]:
    """Return round values that divide the overlap: none around a few points alone.

    >>> x = [0, 10]
    >>> error = ErrorMap(x, x, [[0.8, 2.4], [3.1, 9]], np.ones((2, 2)), np.eye(2) > -1)
    >>> levels(error)
    [1.5, 3, 7]
    """
    known = error.expected_px[error.overlap & np.isfinite(error.expected_px)]
    if not known.size:
        return []
    low, high = np.percentile(known, _SHARES)
    inside = [value for value in _NICE if low < value < high]
    if len(inside) <= count:
        return inside
    picked = np.linspace(0, len(inside) - 1, count).round().astype(int)
    return [inside[index] for index in picked]


def contour(values: np.ndarray, level: float, *, least_cells: int = 1) -> np.ndarray:
    """Return where bilinear values cross a level, as short lines between grid points.

    Cells with an unknown corner have none.

    Args:
        values: `[R, C]`, NaN where unknown.
        level: of the contour.
        least_cells: curves through fewer cells of the grid are left out.

    Returns:
        `[N, 2, 2]`: both ends of each line, (column, row).

    >>> contour(np.array([[0.0, 1.0], [0.0, 1.0]]), 0.25).tolist()
    [[[0.25, 0.0], [0.25, 1.0]]]
    """
    corners = [values[:-1, :-1], values[:-1, 1:], values[1:, 1:], values[1:, :-1]]
    places = [(0, 0), (1, 0), (1, 1), (0, 1)]  # (column, row) in the cell
    known = np.isfinite(corners).all(axis=0)
    crossings = []
    for index in range(4):  # the sides of a cell, in turn around it
        first, second = corners[index], corners[(index + 1) % 4]
        crosses = known & ((first < level) != (second < level))
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(crosses, (level - first) / (second - first), np.nan)
        start, end = np.array(places[index]), np.array(places[(index + 1) % 4])
        crossings.append(start + share[..., None] * (end - start))
    found = np.stack(crossings, axis=2)  # [R, C, 4, 2]
    crossed = np.isfinite(found[..., 0]).any(axis=2).astype(np.uint8)
    _, curve, facts, _ = cv2.connectedComponentsWithStats(crossed)
    long = facts[:, cv2.CC_STAT_AREA] >= least_cells
    rows, columns = np.nonzero(long[curve] & (crossed > 0))
    lines = []
    for row, column in zip(rows, columns):
        points = found[row, column]
        points = points[np.isfinite(points[:, 0])] + [column, row]
        lines.extend(points.reshape(-1, 2, 2))
    return np.array(lines).reshape(-1, 2, 2)


def to_file(error: ErrorMap, places: np.ndarray) -> np.ndarray:
    """Map (column, row) `[..., 2]` of the grid to pixels (x, y) of the fixed file."""
    nodes = error.x, error.y
    return np.stack(
        [np.interp(places[..., i], np.arange(len(n)), n) for i, n in enumerate(nodes)],
        axis=-1,
    )


def sampled(
    error: ErrorMap, size: tuple[int, int], scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected error at each pixel of a picture, and where it is known.

    Args:
        error: of the pair.
        size: (height, width) of the picture.
        scale: pixels of the picture to one of the fixed file, (x, y).

    Returns:
        `[H, W]` float32, and `[H, W]` bool.
    """
    places = []
    for nodes, count, share in zip((error.x, error.y), size[::-1], scale):
        file_px = (np.arange(count) + 0.5) / share - 0.5
        index = np.interp(file_px, nodes, np.arange(len(nodes)), -9.0, -9.0)
        places.append(index.astype(np.float32))
    x, y = np.meshgrid(*places)
    known = np.isfinite(error.expected_px)
    filled = np.where(known, error.expected_px, 0.0).astype(np.float32)

    def drawn(values: np.ndarray) -> np.ndarray:
        return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderValue=0.0)

    weight = drawn(known.astype(np.float32))
    inside = weight > 0.5
    return np.where(inside, drawn(filled) / np.maximum(weight, 0.5), 0.0), inside

"""The classifier's map: of the pixels that a proposal map calls suspicious."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from rkd_jax.lesions.prepare import NEUTRAL

BATCH = 128
MOST_POINTS = 60_000


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """Where the classifier is asked.

    Attributes:
        lattice: bool `[h, w]`, one a cell of `stride` pixels; a cell's point is its
            first pixel.
        stride: pixels from point to point.
        threshold: a cell is in where a pixel of it is above.
    """

    lattice: np.ndarray
    stride: int
    threshold: float

    @property
    def xy(self) -> np.ndarray:
        """Their pixels (x, y), int `[N, 2]`, row by row."""
        rows, columns = np.nonzero(self.lattice)
        return np.stack([columns, rows], axis=1) * self.stride


def find_points(
    scores: np.ndarray, *, threshold: float, stride: int, most: int = MOST_POINTS
) -> Points:
    """Choose the points of a lattice whose cells have a pixel above a threshold.

    Args:
        scores: float `[H, W]`, the largest of the proposal maps.
        threshold: see `Points`.
        stride: pixels from point to point.
        most: at more points than this the threshold is raised for this photograph, so
            that a photograph that is suspicious everywhere takes bounded time.

    >>> scores = np.float32([[0, 0.3, 0.9], [0, 0, 0]])
    >>> find_points(scores, threshold=0.1, stride=2).xy.tolist()
    [[0, 0], [2, 0]]
    >>> found = find_points(scores, threshold=0.1, stride=2, most=1)
    >>> found.xy.tolist(), round(found.threshold, 3)
    ([[2, 0]], 0.3)
    """
    height, width = scores.shape
    sides = -(-height // stride), -(-width // stride)
    cells = np.full((sides[0] * stride, sides[1] * stride), -np.inf, np.float32)
    cells[:height, :width] = scores
    cells = cells.reshape(sides[0], stride, sides[1], stride).max(axis=(1, 3))
    lattice = cells > threshold
    if np.count_nonzero(lattice) > most:
        threshold = float(np.partition(cells, -most - 1, axis=None)[-most - 1])
        lattice = cells > threshold
    return Points(lattice, stride, threshold)


def classify(
    classifier: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    points: Points,
    *,
    patch_px: int,
    batch: int = BATCH,
) -> np.ndarray:
    """Return the classifier's probability at each point.

    Pixel (x, y) is pixel `[patch_px // 2, patch_px // 2]` of its patch; beyond the
    image patches are neutral.

    Args:
        classifier: maps uint8 `[batch, patch_px, patch_px, C]` to float `[batch]`.
        image: uint8 `[H, W, C]`.
        points: where.
        patch_px: side of a patch.
        batch: patches at a time.

    Returns:
        float32 `[N]`.

    >>> points = Points(np.array([[True, True]]), 1, 0.1)
    >>> image = np.uint8([[[3], [7]]])
    >>> classify(lambda x: x[:, 1, 1, 0], image, points, patch_px=2, batch=8).tolist()
    [3.0, 7.0]
    """
    xy = points.xy
    found = np.empty(len(xy), np.float32)
    for start in range(0, len(xy), batch):
        part = xy[start : start + batch]
        patches = np.full(
            (batch, patch_px, patch_px, image.shape[2]), NEUTRAL, np.uint8
        )
        for patch, (x, y) in zip(patches, part, strict=False):
            cut(image, x - patch_px // 2, y - patch_px // 2, patch)
        found[start : start + len(part)] = np.asarray(classifier(patches))[: len(part)]
    return found


def cut(image: np.ndarray, left: int, top: int, patch: np.ndarray) -> None:
    """Copy the part of an image that lies under a patch into it.

    Args:
        image: `[H, W, C]` or `[H, W]`.
        left, top: pixel of the image that is the patch's first one; may lie outside.
        patch: square, of the same channels; what lies outside the image stays.

    >>> patch = np.full((2, 2), 9)
    >>> cut(np.array([[1, 2], [3, 4]]), -1, 0, patch)
    >>> patch.tolist()
    [[9, 1], [9, 3]]
    """
    side = len(patch)
    rows = slice(max(0, top), max(0, top + side))
    columns = slice(max(0, left), max(0, left + side))
    part = image[rows, columns]
    above, before = max(0, -top), max(0, -left)
    patch[above : above + part.shape[0], before : before + part.shape[1]] = part


def fill(
    probabilities: np.ndarray, points: Points, shape: tuple[int, int]
) -> np.ndarray:
    """Return the map between points: bilinear, of those of the four that were asked.

    Args:
        probabilities: float `[N]`, of the points.
        points: where.
        shape: (height, width) of the map.

    Returns:
        float32 `[H, W]`; 0 where no point is near.

    >>> points = Points(np.array([[True, True, False]]), 2, 0.1)
    >>> fill(np.array([0.25, 0.75]), points, (1, 6)).tolist()
    [[0.25, 0.5, 0.75, 0.75, 0.0, 0.0]]
    """
    known = points.lattice.astype(np.float32)
    values = np.zeros_like(known)
    values[points.lattice] = probabilities
    total, weights = (_spread(grid, points.stride, shape) for grid in (values, known))
    return np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)


def _spread(grid: np.ndarray, stride: int, shape: tuple[int, int]) -> np.ndarray:
    """Interpolate a lattice whose point i is pixel i * stride; beyond it is 0."""
    for axis, size in enumerate(shape):
        at = np.arange(size)
        first = at // stride
        weight = ((at % stride) / stride).astype(np.float32)
        weight = weight[:, None] if axis == 0 else weight[None]
        edge = [(0, int(i == axis)) for i in range(2)]
        padded = np.pad(grid, edge)
        grid = padded.take(first, axis) * (1 - weight)
        grid += padded.take(first + 1, axis) * weight
    return grid


def refine(
    maps: Mapping[str, np.ndarray], refined: np.ndarray, threshold: float
) -> dict[str, np.ndarray]:
    """Return the refined map of each proposal map, 0 outside its region.

    Args:
        maps: of the proposal networks, float `[H, W]`.
        refined: of the classifier, in the regions of all.
        threshold: a pixel is in the region of a map that is above it there.

    >>> refine({"full": np.eye(2)}, np.full((2, 2), 0.5), 0.1)["full_refined"].tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    return {
        f"{name}_refined": np.where(one > threshold, refined, 0)
        for name, one in maps.items()
    }

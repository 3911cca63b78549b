"""The matrices that come nearest to a transform, and how far off they are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rkd_jax.registration.mapped import Mapped
from rkd_jax.registration.transforms.homography import project

_GRID = 32  # points a side
_LEAST = 6  # points that a matrix is fitted to
_FEW = 24  # of the grid over the fixed image; fewer say little about the residual
_STEPS = 10


class Approximation(NamedTuple):
    """A matrix in place of a transform.

    Attributes:
        matrix: `[3, 3]` from moving to fixed pixels, the last number 1.
        median_px: median distance to the transform, in pixels of the fixed file, over
            what both photographs show.
        largest_px: the largest one.
    """

    matrix: np.ndarray
    median_px: float
    largest_px: float

    def residual(self) -> dict[str, float]:
        """Return the distances ready for JSON."""
        return {
            "median": round(self.median_px, 4),
            "largest": round(self.largest_px, 4),
        }


def shared_points(mapped: Mapped) -> tuple[np.ndarray, np.ndarray]:
    """Return a grid over what both photographs show.

    The grid of the expected error where it is known, which leaves out what lies beside
    the camera's field; else one over the overlap of the two frames. Where the moving
    image covers so little of the fixed one that few points lie there, a grid over the
    moving image.

    Returns:
        Moving and fixed points `[N, 2]`, of which the transform maps one to the other.
    """
    if mapped.transform is None:
        return np.zeros((0, 2)), np.zeros((0, 2))
    if mapped.error_map is not None:
        known = mapped.error_map
        grid = np.stack(np.meshgrid(known.x, known.y), axis=-1)[known.overlap]
    else:
        grid = _grid(mapped.fixed_size)
    source = mapped.transform.apply_inverse(grid)
    inside = _inside(source, mapped.moving_size)
    if inside.sum() >= _FEW:
        return source[inside], grid[inside]
    source = _grid(mapped.moving_size)
    grid = mapped.transform.apply(source)
    inside = _inside(grid, mapped.fixed_size)
    return source[inside], grid[inside]


def _grid(size: tuple[int, int]) -> np.ndarray:
    """Return points all over an image of (height, width), `[N, 2]`."""
    axes = (np.arange(_GRID) + 0.5) / _GRID
    x, y = axes * size[1] - 0.5, axes * size[0] - 0.5
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _inside(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return which points `[N, 2]` lie in an image of (height, width)."""
    last = np.array(size[::-1]) - 1.0
    return np.all((points >= 0) & (points <= last), axis=-1)


def best_matrix(mapped: Mapped) -> Approximation | None:
    """Fit a projective matrix to a transform by least squares over the overlap.

    None where the transform is None, or maps too little.

    Example:
        >>> from rkd_jax.registration.files.transform_file import SavedTransform
        >>> from rkd_jax.registration.transforms import Homography
        >>> shift = Homography([[2, 0, 10], [0, 2, 0], [0, 0, 2]])
        >>> found = best_matrix(SavedTransform.of(shift, (90, 90), (80, 80)))
        >>> np.abs(found.matrix - [[1, 0, 5], [0, 1, 0], [0, 0, 1]]).max() < 1e-9
        np.True_
    """
    moving, fixed = shared_points(mapped)
    if len(moving) < _LEAST:
        return None
    matrix = _projective(moving, fixed)
    if matrix is None or abs(matrix[2, 2]) < 1e-9 * np.abs(matrix).max():
        return None
    return _measured(matrix / matrix[2, 2], moving, fixed)


def best_affine(mapped: Mapped) -> Approximation | None:
    """Fit an affine matrix to a transform, as `best_matrix`."""
    moving, fixed = shared_points(mapped)
    if len(moving) < _LEAST:
        return None
    terms = np.concatenate([moving, np.ones((len(moving), 1))], axis=1)
    rows, *_ = np.linalg.lstsq(terms, fixed, rcond=None)
    matrix = np.concatenate([rows.T, [[0.0, 0.0, 1.0]]])
    return _measured(matrix, moving, fixed)


def _measured(
    matrix: np.ndarray, moving: np.ndarray, fixed: np.ndarray
) -> Approximation | None:
    off = np.linalg.norm(project(matrix, moving) - fixed, axis=1)
    if not np.isfinite(off).all():
        return None
    return Approximation(matrix, float(np.median(off)), float(off.max()))


def _projective(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray | None:
    """Return the projective matrix with the least squared distances, or None.

    By the linear equations first, then by Gauss-Newton steps.
    """
    units = [_unit(points) for points in (moving, fixed)]
    u, v = (project(unit, p) for unit, p in zip(units, (moving, fixed), strict=True))
    rows, zero = (
        np.concatenate([u, np.ones((len(u), 1))], axis=1),
        np.zeros((len(u), 3)),
    )
    equations = np.concatenate(
        [
            np.concatenate([rows, zero, -v[:, :1] * rows], axis=1),
            np.concatenate([zero, rows, -v[:, 1:] * rows], axis=1),
        ]
    )
    numbers = np.linalg.svd(equations, full_matrices=False)[2][-1]
    if abs(numbers[8]) < 1e-9:
        return None
    numbers = numbers / numbers[8]
    for _ in range(_STEPS):
        matrix = numbers.reshape(3, 3)
        mapped, depth = project(matrix, u), rows @ matrix[2]
        slopes = np.zeros((len(u), 2, 8))
        slopes[:, 0, :3] = slopes[:, 1, 3:6] = rows / depth[:, None]
        slopes[:, :, 6:] = -mapped[:, :, None] * u[:, None] / depth[:, None, None]
        if not np.isfinite(slopes).all():
            return None
        step, *_ = np.linalg.lstsq(slopes.reshape(-1, 8), (v - mapped).ravel(), None)
        numbers = numbers + np.append(step, 0.0)
        if np.abs(step).max() < 1e-12:
            break
    return np.linalg.inv(units[1]) @ numbers.reshape(3, 3) @ units[0]


def _unit(points: np.ndarray) -> np.ndarray:
    """Return the matrix that brings points to mean 0 and size 1."""
    center = points.mean(axis=0)
    scale = 1.0 / max(float(np.abs(points - center).max()), 1e-9)
    x, y = -scale * center
    return np.array([[scale, 0.0, x], [0.0, scale, y], [0.0, 0.0, 1.0]])

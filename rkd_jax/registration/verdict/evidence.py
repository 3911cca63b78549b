"""The evidence for or against a fit, in pixels of a 768-pixel working image."""

from __future__ import annotations

import math

import cv2
import numpy as np

from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.fit import fit, residuals
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.transforms import Homography, Transform

SUPPORT_PX = 4.0  # a match within this distance supports the transform
MAX_SCALE = 3.0  # largest magnification or reduction between the two images
MAX_STRETCH = 2.0  # largest ratio of the two local magnifications

_BESIDE_PX = 24.0  # where chance alone would find matches
_LOST_PX = 100.0  # stands for a distance that cannot be measured
_RIM = 0.9  # radii of the field, beyond which an image shows the camera as well
_GRID = 48  # points a side, by which the overlap of two images is measured


def box_corners(points: np.ndarray) -> np.ndarray:
    """Return the corners of the bounding box of points `[N, 2]`, in order."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _jacobians(transform: Transform, points: np.ndarray) -> np.ndarray:
    """Return the 2x2 derivatives at points `[N, 2]` by central differences."""
    step = 0.5
    columns = []
    for axis in np.eye(2):
        ahead = transform.apply(points + step * axis)
        columns.append((ahead - transform.apply(points - step * axis)) / (2 * step))
    return np.stack(columns, axis=-1)


def _misshapen(transform: Transform, points: np.ndarray, relative_scale: float) -> str:
    """Return what is wrong with the local shape at points `[N, 2]`, or nothing."""
    jacobians = _jacobians(transform, points) * relative_scale
    if not np.all(np.isfinite(jacobians)):
        return "the transform tears the image"
    if np.any(np.linalg.det(jacobians) <= 0):
        return "the transform mirrors or folds the image"
    magnifications = np.linalg.svd(jacobians, compute_uv=False)
    if magnifications.max() > MAX_SCALE or magnifications.min() < 1 / MAX_SCALE:
        return f"the transform scales by more than {MAX_SCALE:g}"
    if np.any(magnifications[:, 0] > MAX_STRETCH * magnifications[:, 1]):
        return "the transform shears the image"
    return ""


def implausible(transform: Transform, supporting: np.ndarray, pair: Pair) -> str:
    """Return why two photographs of one eye never differ so, or an empty text.

    Orientation, scale and shear are checked on a grid over the box of the supporting
    points and over what both fields show, and those of the projective part alone at
    the corners of the moving image (of the part in use after a search).

    Args:
        transform: from the moving to the fixed file.
        supporting: moving points `[N, 2]` that agree with it.
        pair: the photographs.
    """
    relative = pair.fixed_scale / pair.moving_scale
    (x0, y0), _, (x1, y1), _ = box_corners(supporting)
    axes = np.linspace(x0, x1, 5), np.linspace(y0, y1, 5)
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    grid = np.concatenate([grid, _seen_by_both(transform, pair)])
    reason = _misshapen(transform, grid, relative)
    return reason or _misshapen(
        Homography(transform.projective()), pair.moving_corners(), relative
    )


def _seen_by_both(transform: Transform, pair: Pair) -> np.ndarray:
    """Return a grid `[N, 2]` of moving points within both cameras' fields."""
    moving, fixed = pair.moving.frame, pair.fixed.frame
    axis = np.linspace(-_RIM, _RIM, 15)
    grid = moving.from_field(np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2))
    inside = [
        np.linalg.norm(frame.to_field(points), axis=1) <= _RIM
        for frame, points in ((moving, grid), (fixed, transform.apply(grid)))
    ]
    return grid[inside[0] & inside[1]]


def coverage(transform: Transform, points_fixed: np.ndarray, pair: Pair) -> float:
    """Return the share of the overlap of both frames inside the hull of points."""
    if len(points_fixed) < 3:
        return 0.0
    hull = cv2.convexHull(points_fixed.astype(np.float32))
    # Counted on a grid: OpenCV's intersection of polygons is now and then empty where
    # their edges all but coincide, as those of two nearly equal images do.
    height, width = np.array(pair.fixed.file_size) - 1.0
    axes = (np.arange(_GRID) + 0.5) / _GRID
    grid = np.stack(np.meshgrid(axes * width, axes * height), axis=-1)
    source = transform.apply_inverse(grid)
    far = np.array(pair.moving.file_size[::-1]) - 1.0
    overlap = np.mean(np.all((source >= 0) & (source <= far), axis=-1)) * width * height
    return float(cv2.contourArea(hull) / overlap) if overlap > 1.0 else 0.0


def drop_rim_matches(matches: Matches, pair: Pair) -> Matches:
    """Leave out matches at the rims of both fields.

    The rim with its notch, halos and dirt on the lens belong to the camera: they are at
    the same place in photographs of every eye.
    """
    fixed, moving = (
        np.linalg.norm(photo.frame.to_field(points), axis=1) > _RIM
        for photo, points in (
            (pair.fixed, matches.points_fixed),
            (pair.moving, matches.points_moving),
        )
    )
    return matches.subset(~(fixed & moving))


def support(transform: Transform, matches: Matches, pair: Pair) -> dict[str, float]:
    """Measure how well matches agree with a transform.

    Returns:
        "support": matches within 4 px; "support_ratio": their share;
        "support_error_px": their median distance; "coverage": the share of the
        overlap of both frames that their hull covers.
    """
    distance = pair.fixed_scale * residuals(
        transform, matches.points_moving, matches.points_fixed
    )
    close = distance <= SUPPORT_PX
    return {
        "support": float(close.sum()),
        "support_ratio": float(close.mean()) if len(close) else 0.0,
        "support_error_px": float(np.median(distance[close])) if close.any() else 99.0,
        "coverage": coverage(transform, matches.points_fixed[close], pair),
    }


def nearness(transform: Transform, pair: Pair) -> dict[str, float]:
    """Count similar points where the transform puts them, and what chance would give.

    A transform that was fitted to the matches found near it agrees with them by
    construction; so the same search is made beside it, 24 px off in four directions.

    Returns:
        "near": matches within 4 px; "near_by_chance": the mean of the four counts;
        "near_error_px": median distance of the matches (4 / sqrt(2) for random ones);
        "near_coverage": as "coverage".
    """
    unit = pair.unit
    found = drop_rim_matches(pair.match_near(transform, SUPPORT_PX * unit), pair)
    beside = [
        len(
            drop_rim_matches(
                pair.match_near(transform, SUPPORT_PX * unit, shift_px=shift), pair
            )
        )
        for shift in _BESIDE_PX * unit * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    ]
    error = SUPPORT_PX
    if len(found):
        distance = residuals(transform, found.points_moving, found.points_fixed)
        error = float(np.median(distance)) * pair.fixed_scale
    return {
        "near": float(len(found)),
        "near_by_chance": float(np.mean(beside)),
        "near_error_px": error,
        "near_coverage": coverage(transform, found.points_fixed, pair),
    }


def asymmetry(
    transform: Transform,
    matches: Matches,
    pair: Pair,
    *,
    estimator: str,
    curvature: Curvature | None,
) -> float:
    """Return how far a fit in the other direction lands from where it started.

    A radial homography is fitted from the fixed to the moving image, to the matches by
    descriptors alone, and points of the overlap are mapped there and back.

    Returns:
        The median distance on a grid over the overlap, at most 100 px.
    """
    back = fit(
        matches.points_fixed,
        matches.points_moving,
        family="radial",
        estimator=estimator,
        threshold_px=pair.options.threshold_px / (pair.moving_scale * pair.unit),
        frames=pair.frames[::-1],
        curvature=curvature,
    )
    if back.transform is None:
        return _LOST_PX
    height, width = pair.moving.file_size
    axes = np.linspace(0, width - 1, 15), np.linspace(0, height - 1, 15)
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    there = transform.apply(grid)
    limit = np.array(pair.fixed.file_size[::-1]) - 1
    inside = np.all((there >= 0) & (there <= limit), axis=1)
    if not inside.any():
        return _LOST_PX
    off = back.transform.apply(there[inside]) - grid[inside]
    median = float(np.median(np.hypot(off[:, 0], off[:, 1])) * pair.moving_scale)
    return min(median, _LOST_PX) if math.isfinite(median) else _LOST_PX


def gather(
    transform: Transform,
    free: Matches,
    pair: Pair,
    *,
    estimator: str,
    curvature: Curvature | None,
) -> dict[str, float]:
    """Measure the evidence that `judge` uses: `support`, `nearness` and `asymmetry`.

    Matches at the rims of both cameras' fields do not count.

    Args:
        transform: what was fitted.
        free: matches by descriptors alone, before any transform was known.
        pair: keypoints of both images.
        estimator: key of `rkd_jax.registration.fitting.fit.ESTIMATORS`.
        curvature: what is known of k.
    """
    free = drop_rim_matches(free, pair)
    return {
        **support(transform, free, pair),
        **nearness(transform, pair),
        "asymmetry_px": asymmetry(
            transform, free, pair, estimator=estimator, curvature=curvature
        ),
    }

"""Contours of the expected error over a picture, and where the error is known."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.error_grid import contour, levels, sampled, to_file
from rkd_jax.registration.pictures.scene import Scene

_SHORTEST = 0.4  # of the side of the grid: shorter contours surround a few points
_COARSE_PX = 512  # the error is smooth: where it is known is found on a small copy


def known_in(scene: Scene, error: ErrorMap) -> np.ndarray:
    """Return where the error is known in the view, `[h, w]` bool."""
    share = min(1.0, _COARSE_PX / max(scene.size))
    coarse = tuple(max(1, round(side * share)) for side in scene.size)
    scale = scene.scale * coarse[::-1] / scene.size[::-1]
    _, known = sampled(error, coarse, scale)
    size = scene.size[::-1]
    return cv2.resize(known.astype(np.uint8) * 255, size) > 127


def add_contours(picture: np.ndarray, error: ErrorMap, scene: Scene) -> list[float]:
    """Draw contours of the expected error with labels, in place; return the levels."""
    drawn = []
    taken: list[np.ndarray] = []
    least = round(_SHORTEST * max(error.expected_px.shape))
    for level in levels(error):
        pieces = contour(error.expected_px, level, least_cells=least)
        if not len(pieces):
            continue
        ends = scene.to_view(to_file(error, pieces))
        ends = ends[_inside(scene.overlap, ends).all(axis=1)]
        if not len(ends):
            continue
        drawn.append(level)
        marks.lines(picture, list(ends), marks.CONTOUR, marks.unit(picture))
        middles = ends.mean(axis=1)
        # The label goes to the piece that is farthest from the labels before.
        gaps = [np.linalg.norm(middles - other, axis=1) for other in taken]
        at = middles[np.argmax(np.min(gaps, axis=0)) if gaps else len(middles) // 2]
        taken.append(at)
        size = 0.45 * marks.unit(picture)
        marks.text(picture, f"{level:g} px", tuple(at), size=size, color=marks.CONTOUR)
    return drawn


def _inside(mask: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return which points `[..., 2]` (x, y) lie on a mask `[h, w]`."""
    limits = np.array(mask.shape[::-1]) - 1
    nearest = np.clip(np.rint(points), 0, limits).astype(int)
    return mask[nearest[..., 1], nearest[..., 0]]

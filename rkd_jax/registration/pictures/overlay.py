"""A checkerboard of both images, with what supports the transform and its error."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.error_grid import contour, levels, sampled, to_file
from rkd_jax.registration.pictures.scene import Scene

_DIMMED = (np.arange(256) * 0.45).astype(np.uint8)  # by grey level
_TILES = 8


def draw(scene: Scene) -> np.ndarray:
    """Draw the checkerboard, the hull of the inliers and contours of the error.

    Returns:
        uint8 `[h, w, 3]` RGB.
    """
    picture = checkerboard(
        scene.fixed_view, scene.matched_view, scene.field_fixed, scene.field_registered
    )
    add_marks(picture, scene)
    return picture


def checkerboard(
    fixed: np.ndarray,
    registered: np.ndarray,
    field_fixed: np.ndarray,
    field_registered: np.ndarray,
    *,
    tiles: int = _TILES,
) -> np.ndarray:
    """Return tiles of the fixed and of the registered image in turn.

    Vessels run on across the tiles where the registration is right. Where only one of
    the two shows the fundus, it is drawn dimmed, whichever tile this is.

    Args:
        fixed: `[H, W(, 3)]` uint8.
        registered: the moving image in the fixed frame, the same size.
        field_fixed: `[H, W]` bool, where the fixed image shows the fundus.
        field_registered: `[H, W]` bool, where the moving image does.
        tiles: along the longer side.

    Returns:
        uint8 `[H, W, 3]` RGB.
    """
    fixed, registered = to_rgb8(fixed), to_rgb8(registered)
    side = max(1, -(-max(fixed.shape[:2]) // tiles))
    odd_rows, odd_columns = (np.arange(n) // side % 2 == 1 for n in fixed.shape[:2])
    odd = odd_rows[:, None] != odd_columns
    from_moving = field_registered & (odd | ~field_fixed)
    both = field_fixed & field_registered
    picture = fixed.copy()
    # Ten times faster than `np.where`, which repeats the mask for each channel.
    cv2.copyTo(registered, from_moving.astype(np.uint8), picture)
    cv2.copyTo(cv2.LUT(picture, _DIMMED), (~both).astype(np.uint8), picture)
    return picture


def add_marks(picture: np.ndarray, scene: Scene) -> None:
    """Draw the hull, contours of the expected error and hatching, with a legend.

    Args:
        picture: `[h, w, 3]` uint8 RGB of the size of the view; changed in place.
        scene: the pair.
    """
    entries = []
    error = scene.registration.error_map
    if error is not None:
        _, known = sampled(error, scene.size, scene.scale)
        unknown = scene.overlap & ~known
        if unknown.any():
            marks.hatch(picture, unknown)
            entries.append(("hatch", marks.HATCH, "expected error not known"))
        if drawn := add_contours(picture, error, scene):
            words = ", ".join(f"{level:g}" for level in drawn)
            entries.append(("line", marks.CONTOUR, f"expected error {words} px"))
    if len(scene.hull):
        marks.outline(picture, scene.hull, marks.HULL)
        entries.append(("line", marks.HULL, "matches lie within"))
    marks.legend(picture, entries)


def add_contours(picture: np.ndarray, error: ErrorMap, scene: Scene) -> list[float]:
    """Draw contours of the expected error with labels, in place; return the levels."""
    drawn = []
    taken: list[np.ndarray] = []
    for level in levels(error):
        values = np.where(error.overlap, error.expected_px, np.nan)
        pieces = contour(values, level)
        if not len(pieces):
            continue
        drawn.append(level)
        ends = scene.to_view(to_file(error, pieces))
        marks.lines(picture, list(ends), marks.CONTOUR, marks.unit(picture))
        middles = ends.mean(axis=1)
        # The label goes to the piece that is farthest from the labels before.
        gaps = [np.linalg.norm(middles - other, axis=1) for other in taken]
        at = middles[np.argmax(np.min(gaps, axis=0)) if gaps else len(middles) // 2]
        taken.append(at)
        size = 0.45 * marks.unit(picture)
        marks.text(
            picture, f"{level:g} px", tuple(at), size=size, color=marks.CONTOUR
        )
    return drawn

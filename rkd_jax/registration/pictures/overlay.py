"""A checkerboard of both images, with what supports the transform and its error."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.error_marks import add_contours, known_in
from rkd_jax.registration.pictures.scene import Scene

_DIMMED = (np.arange(256) * 0.45).astype(np.uint8)  # by grey level
_TILES = 8
_LEAST_TILE_PX = 8  # smaller tiles have no lines between them


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
    side = tile_px(fixed.shape[:2], tiles)
    odd_rows, odd_columns = (np.arange(n) // side % 2 == 1 for n in fixed.shape[:2])
    odd = odd_rows[:, None] != odd_columns
    from_moving = field_registered & (odd | ~field_fixed)
    both = field_fixed & field_registered
    picture = fixed.copy()
    # Ten times faster than `np.where`, which repeats the mask for each channel.
    cv2.copyTo(registered, from_moving.astype(np.uint8), picture)
    cv2.copyTo(cv2.LUT(picture, _DIMMED), (~both).astype(np.uint8), picture)
    return picture


def tile_px(size: tuple[int, ...], tiles: int = _TILES) -> int:
    """Return the side of a tile in px."""
    return max(1, -(-max(size) // tiles))


def _add_borders(picture: np.ndarray, overlap: np.ndarray) -> None:
    """Draw faint lines between the tiles, in place: with matched light they vanish."""
    side, width = tile_px(picture.shape[:2]), max(1, round(marks.unit(picture) / 2))
    if side < _LEAST_TILE_PX:
        return
    for axis, length in enumerate(picture.shape[:2]):
        for start in range(side, length, side):
            at: list[slice] = [slice(None), slice(None)]
            at[axis] = slice(start - width // 2, start - width // 2 + width)
            line = picture[tuple(at)]
            bright = cv2.addWeighted(line, 0.75, np.full_like(line, 255), 0.25, 0)
            shown = np.ascontiguousarray(overlap[tuple(at)], np.uint8)
            picture[tuple(at)] = cv2.copyTo(bright, shown, line.copy())


def add_marks(picture: np.ndarray, scene: Scene) -> None:
    """Draw tile borders, hull, contours of the expected error and hatching, a legend.

    Args:
        picture: `[h, w, 3]` uint8 RGB of the size of the view; changed in place.
        scene: the pair.
    """
    entries = []
    _add_borders(picture, scene.overlap)
    error = scene.registration.error_map
    if error is not None:
        unknown = scene.overlap & ~known_in(scene, error)
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

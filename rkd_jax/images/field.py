"""Where an image shows the fundus: the camera's field without its black margin."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized, brightest, percentile

_SIDE_PX = 768  # the field of a larger image is found on a smaller copy


def _hull(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the field of an image at another size (height, width), uint8 0 or 1."""
    part = cv2.resize(brightest(image), size[::-1], interpolation=cv2.INTER_AREA)
    bright = (part > percentile(part, 95) / 8).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.medianBlur(bright, 5))
    mask = np.zeros(size, np.uint8)
    if len(stats) > 1:
        largest = 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
        points = cv2.findNonZero((labels == largest).astype(np.uint8))
        cv2.fillConvexPoly(mask, cv2.convexHull(points), 1)
    return mask


def field_of_view(image: np.ndarray) -> np.ndarray:
    """Find the camera's field in an image as read.

    The convex hull of the largest part brighter than an eighth of the image's bright
    end (95th percentile of the brightest channel).

    Args:
        image: `[H, W]` or `[H, W, 3]`, uint8 or float in 0..1.

    Returns:
        `[H, W]` bool.

    Example:
        >>> image = np.zeros((60, 100), np.uint8)
        >>> image[10:50, 20:90] = 200
        >>> field = field_of_view(image)
        >>> field[30, [10, 25, 85, 95]].tolist()
        [False, True, True, False]
    """
    height, width = image.shape[:2]
    scale = min(1.0, _SIDE_PX / max(height, width))
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    mask = _hull(image, small)
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def rim_px(side: int) -> int:
    """Return how far inside the field keypoints begin, on images of this side in px.

    The rim of the field has strong edges that belong to the camera, not to the eye:
    keypoints on it would match cameras.

    Example:
        >>> rim_px(768), rim_px(96)
        (8, 1)
    """
    return round(8 * side / 768)


def prepared_field(image: np.ndarray, prepared: Resized) -> np.ndarray:
    """Return where keypoints may lie on a prepared image: its field without the rim.

    Training and registration both use it. Edges of the image count as inside the
    field, the padding as outside.

    Args:
        image: `[H, W]` or `[H, W, 3]` as read.
        prepared: what was made of it.

    Returns:
        `[S_h, S_w]` bool.
    """
    height, width = prepared.size
    x0, y0, x1, y1 = prepared.box
    mask = _hull(image[y0:y1, x0:x1], (height, width))
    side = 2 * rim_px(max(prepared.image.shape)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    field = np.zeros(prepared.image.shape, bool)
    # OpenCV counts what lies beyond the edge as inside: only the rim is taken off.
    field[:height, :width] = cv2.erode(mask, disc) > 0
    return field

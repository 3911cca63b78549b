"""Where an image shows the fundus: the camera's field without its black margin."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized, brightest, percentile

_SIDE_PX = 768  # the field of a larger image is found on a smaller copy
_RAMP = 1.5  # px of that copy: how smooth the border of a displayed field is
_NOTCH = 0.03  # of the longer side: half the width of a notch that is left out


def _largest_part(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the largest bright part at another size (height, width), uint8 0 or 1."""
    part = cv2.resize(brightest(image), size[::-1], interpolation=cv2.INTER_AREA)
    bright = (part > percentile(part, 95) / 8).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.medianBlur(bright, 5))
    if len(stats) < 2:
        return np.zeros(size, np.uint8)
    largest = 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])
    return (labels == largest).astype(np.uint8)


def _hull_of(part: np.ndarray) -> np.ndarray:
    """Return the convex hull of the pixels that are not 0, uint8 0 or 1."""
    mask = np.zeros(part.shape, np.uint8)
    curves, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if curves:
        cv2.fillConvexPoly(mask, cv2.convexHull(np.concatenate(curves)), 1)
    return mask


def _hull(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the field of an image at another size (height, width), uint8 0 or 1."""
    return _hull_of(_largest_part(image, size))


def _small(height: int, width: int) -> tuple[int, int]:
    """Return the size (height, width) at which the field of an image is found."""
    scale = min(1.0, _SIDE_PX / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


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
    mask = _hull(image, _small(height, width))
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST) > 0


def display_field(image: np.ndarray) -> np.ndarray:
    """Find where a picture may show an image: its field without rim and notches.

    The rim fades to black, and some cameras cut a notch or a tab into the circle, whose
    surroundings are black inside the hull.

    Args:
        image: `[H, W]` or `[H, W, 3]`, uint8 or float in 0..1.

    Returns:
        `[H, W]` uint8: 255 inside, 0 outside, and a narrow ramp between them, so that
        a warped field has a smooth border.

    Example:
        >>> image = np.zeros((300, 300), np.uint8)
        >>> image[50:250, 50:250] = 200
        >>> image[140:150, 250:270] = 200  # a tab
        >>> display_field(image)[145, [40, 60, 150, 240, 260]].tolist()
        [0, 255, 255, 255, 0]
    """
    height, width = image.shape[:2]
    size = _small(height, width)
    part = _largest_part(image, size)
    bright = cv2.morphologyEx(part, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    field = _hull_of(part)
    # Edges of the image count as inside, as in `prepared_field`.
    depth = cv2.distanceTransform(bright, cv2.DIST_L2, 5)
    notch = _NOTCH * max(size)
    core = _hull_of((depth > notch).astype(np.uint8))
    if core.any():
        beyond = cv2.distanceTransform(1 - core, cv2.DIST_L2, 5)
        field &= (beyond <= notch - rim_px(max(size)) / 2).astype(np.uint8)
    ramp = cv2.GaussianBlur(field * 255, (0, 0), _RAMP, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(ramp, (width, height), interpolation=cv2.INTER_LINEAR)


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

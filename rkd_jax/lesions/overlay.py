"""A photograph with the outlines of its lesions, to check by eye."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.pictures import visible_rgb8
from rkd_jax.lesions.result import LesionMap

_COLOR = (0, 255, 255)
_GAP = 1 / 700  # of the longer side, between a lesion and its outline


def draw_overlay(image: np.ndarray, found: LesionMap) -> np.ndarray:
    """Draw each lesion's outline, with a gap that leaves it visible, and the count.

    Args:
        image: `[H, W]` or `[H, W, 3]` as read.
        found: in this image.

    Returns:
        uint8 `[H, W, 3]`.

    >>> none = LesionMap(np.zeros((60, 90), np.float32), 0.5, ())
    >>> draw_overlay(np.zeros((60, 90), np.uint8), none).shape
    (60, 90, 3)
    """
    picture = visible_rgb8(image).copy()
    gap = max(2, round(_GAP * max(picture.shape)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * gap + 1, 2 * gap + 1))
    wide = cv2.dilate(found.mask.astype(np.uint8), disc)
    outlines, _ = cv2.findContours(wide, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, _COLOR, max(1, gap // 3))
    size = max(picture.shape) / 1500
    cv2.putText(
        picture,
        f"{found.lesion}: {len(found.lesions)}",
        (round(20 * size), round(45 * size)),
        cv2.FONT_HERSHEY_SIMPLEX,
        size,
        _COLOR,
        max(1, round(2 * size)),
        cv2.LINE_AA,
    )
    return picture

"""Drawn photographs of an eye with bright spots."""

import cv2
import numpy as np

FIELD = 320
SPOTS = ((150, 120, 5), (240, 200, 4), (180, 260, 6))
"""x, y and radius at a field of `FIELD` pixels in an image of 400 x 360."""


def draw_eye(scale=1.0, spots=SPOTS):
    """Draw a disc with bright spots, uint8 `[360 s, 400 s, 3]`."""
    big = round(4 * scale)  # drawn larger, so that its edges are soft
    image = np.zeros((360 * big, 400 * big, 3), np.uint8)
    cv2.circle(image, (200 * big, 180 * big), FIELD // 2 * big, (180, 90, 50), -1)
    y, x = np.indices(image.shape[:2])
    image[image[..., 0] > 0] -= np.uint8([10, 20, 5])
    shade = (20 * np.sin(x / (40 * big)) * np.sin(y / (30 * big))).astype(np.int16)
    lit = image[..., :1] > 0
    image = np.where(lit, image + shade[..., None], 0).clip(0, 255).astype(np.uint8)
    for at_x, at_y, radius in spots:
        center = round((at_x + 0.5) * big - 0.5), round((at_y + 0.5) * big - 0.5)
        cv2.circle(image, center, radius * big, (250, 150, 120), -1)
    size = round(400 * scale), round(360 * scale)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

"""Pictures of aligned faces, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.pictures import to_rgb8

_TRUTH, _FOUND = (80, 220, 100), (235, 70, 60)  # RGB
_SIDE = 256


def face_picture(
    image: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray | None = None,
    *,
    caption: str = "",
    side: int = _SIDE,
) -> np.ndarray:
    """Draw the points of a face: predicted red, annotated green, a line between them.

    Args:
        image: `[S, S]` float in 0..1 or `[S, S, 3]` uint8, square.
        predicted: `[98, 2]` px of the image.
        truth: likewise.
        caption: drawn in the upper left corner; lines end with newlines.
        side: of the picture.

    Returns:
        uint8 RGB `[side, side, 3]`.
    """
    image = to_rgb8(image)
    zoom = side / image.shape[0]
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    canvas = cv2.resize(image, (side, side), interpolation=way)

    def pixel(xy: np.ndarray) -> tuple[int, int]:
        # OpenCV takes 32-bit integers; what lies so far out is not seen.
        place = np.clip(resize_points(xy, zoom), -4 * side, 5 * side)
        x, y = np.rint(place * 16).astype(int)
        return int(x), int(y)

    if truth is not None:
        for a, b in zip(predicted, truth, strict=True):
            cv2.line(canvas, pixel(a), pixel(b), (250, 210, 60), 1, cv2.LINE_AA, 4)
            cv2.circle(canvas, pixel(b), 24, _TRUTH, -1, cv2.LINE_AA, 4)
    for a in predicted:
        cv2.circle(canvas, pixel(a), 24, _FOUND, -1, cv2.LINE_AA, 4)
    if caption:
        lines = caption.split("\n")
        band = canvas[: 4 + 18 * len(lines)]
        band[:] = band // 4
        for number, line in enumerate(lines):
            _text(canvas, line, (6, 16 + 18 * number), (255, 255, 255))
    return canvas


def sheet(pictures: Sequence[np.ndarray], *, columns: int) -> np.ndarray:
    """Lay pictures of one size out in rows; empty places are black.

    >>> sheet([np.ones((2, 3, 3), np.uint8)] * 3, columns=2).shape
    (4, 6, 3)
    """
    columns = min(columns, len(pictures))
    blank = np.zeros_like(pictures[0])
    full = [*pictures, *[blank] * (-len(pictures) % columns)]
    rows = [full[i : i + columns] for i in range(0, len(full), columns)]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _text(
    canvas: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int]
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, text, place, font, 0.42, color, 1, cv2.LINE_AA)

"""Pictures of aligned faces and of the cumulative error curve, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.pictures import to_rgb8
from rkd_jax.metrics.landmarks import THRESHOLD, auc, cumulative_errors

_TRUTH, _FOUND = (80, 220, 100), (235, 70, 60)  # RGB
_COLORS = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
)
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


def error_curve(
    errors: Mapping[str, np.ndarray], *, limit: float = 2 * THRESHOLD
) -> np.ndarray:
    """Draw the share of faces below each error, a curve for each name.

    Args:
        errors: name -> normalized errors `[N]`.
        limit: right end of the axis.

    Returns:
        uint8 RGB.
    """
    width, height, left, low = 720, 480, 64, 48
    canvas = np.full((height, width, 3), 255, np.uint8)
    right, top = width - 16, 16

    def place(error: float, share: float) -> tuple[int, int]:
        x = left + error / limit * (right - left)
        return round(x), round(height - low - share * (height - low - top))

    for share in np.linspace(0, 1, 6):
        cv2.line(canvas, place(0, share), place(limit, share), (225,) * 3, 1)
        x, y = place(0, share)
        _text(canvas, f"{share:.1f}", (x - 36, y + 4), (60, 60, 60))
    for error in np.linspace(0, limit, 5):
        cv2.line(canvas, place(error, 0), place(error, 1), (225,) * 3, 1)
        x, y = place(error, 0)
        _text(canvas, f"{100 * error:.0f}", (x - 8, y + 18), (60, 60, 60))
    mark = place(THRESHOLD, 0), place(THRESHOLD, 1)
    cv2.line(canvas, *mark, (120, 120, 120), 1, cv2.LINE_AA)
    below = "normalized error, per cent of the eyes' distance (vertical: failure)"
    _text(canvas, below, (left + 90, height - 8), (60, 60, 60))
    levels = np.linspace(0, limit, 400)
    for number, (name, values) in enumerate(errors.items()):
        color = _COLORS[number % len(_COLORS)]
        curve = cumulative_errors(values, levels)
        points = np.array([place(e, s) for e, s in zip(levels, curve)], np.int32)
        cv2.polylines(canvas, [points], False, color, 2, cv2.LINE_AA)
        label = f"{name}: AUC {auc(values):.3f}, {len(values)} faces"
        _text(canvas, label, (left + 10, top + 16 + 18 * number), color)
    return canvas


def _text(
    canvas: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int]
) -> None:
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(canvas, text, place, font, 0.42, color, 1, cv2.LINE_AA)

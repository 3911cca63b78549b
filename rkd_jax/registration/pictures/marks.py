"""Lines, labels and hatching over pictures, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Color = tuple[int, int, int]
HULL: Color = (90, 200, 255)  # RGB
CONTOUR: Color = (255, 240, 120)
HATCH: Color = (200, 200, 200)
TEXT: Color = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FRACTION = 3  # OpenCV's sub-pixel bits
_LEAST_PX = 320  # smaller pictures have no place for text


def unit(canvas: np.ndarray) -> float:
    """Return the width of a thin line in px: pictures are often seen reduced."""
    return max(1.0, max(canvas.shape[:2]) / 1000)


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Return points as OpenCV's drawing functions take them with `_FRACTION` bits."""
    limit = 2**20  # far outside any picture, and no overflow
    return np.round(np.clip(points, -limit, limit) * 2**_FRACTION).astype(np.int32)


def lines(
    canvas: np.ndarray, curves: Sequence[np.ndarray], color: Color, width: float
) -> None:
    """Draw open curves `[N, 2]` in place, smooth and below the width of a pixel."""
    points = [fixed_point(curve).reshape(-1, 1, 2) for curve in curves]
    if points:
        width = max(1, round(width))
        cv2.polylines(canvas, points, False, color, width, cv2.LINE_AA, _FRACTION)


def outline(canvas: np.ndarray, corners: np.ndarray, color: Color) -> None:
    """Draw a closed thin line through corners `[N, 2]` in place."""
    if len(corners) > 2:
        lines(canvas, [np.concatenate([corners, corners[:1]])], color, unit(canvas))


def dots(canvas: np.ndarray, points: np.ndarray, color: Color, radius: float) -> None:
    """Draw discs at points `[N, 2]` in place."""
    size = round(radius * 2**_FRACTION)
    for x, y in fixed_point(points).tolist():
        cv2.circle(canvas, (x, y), size, color, -1, cv2.LINE_AA, _FRACTION)


def text_size(text: str, size: float) -> tuple[int, int]:
    """Return width and height of a line of text in px."""
    (width, height), _ = cv2.getTextSize(text, _FONT, size, _stroke(size))
    return width, height


def text(
    canvas: np.ndarray,
    words: str,
    place: tuple[float, float],
    *,
    size: float,
    color: Color = TEXT,
    halo: bool = True,
) -> None:
    """Write words in place, their lower left corner at (x, y); a halo keeps them apart.

    Args:
        canvas: `[H, W, 3]` uint8 RGB.
        words: ASCII; other letters become question marks.
        place: (x, y).
        size: 1.0 is about 22 px high.
        color: of the letters.
        halo: dark border around the letters.
    """
    at = (round(place[0]), round(place[1]))
    if halo:
        width = _stroke(size) + max(2, round(3 * size))
        cv2.putText(canvas, words, at, _FONT, size, (0, 0, 0), width, cv2.LINE_AA)
    cv2.putText(canvas, words, at, _FONT, size, color, _stroke(size), cv2.LINE_AA)


def _stroke(size: float) -> int:
    return max(1, round(1.2 * size))


def hatch(canvas: np.ndarray, where: np.ndarray, width: float | None = None) -> None:
    """Draw thin diagonal lines where a mask `[H, W]` is True, in place.

    Args:
        canvas: `[H, W, 3]` uint8 RGB.
        where: `[H, W]` bool.
        width: of a thin line in px; by default `unit` of the canvas.
    """
    width = unit(canvas) if width is None else width
    rows = np.flatnonzero(where.any(axis=1))
    if not len(rows):
        return
    columns = np.flatnonzero(where.any(axis=0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    step, thick = round(12 * width), max(1, round(width))
    height, length = where[part].shape
    # One row of the pattern; each further row is the same, shifted by one.
    row = (np.arange(length + height) % step < thick).astype(np.uint8)
    pattern = np.lib.stride_tricks.sliding_window_view(row, length)[:height]
    layer = np.ascontiguousarray(pattern & where[part])
    region = canvas[part]
    mixed = cv2.addWeighted(region, 0.4, np.full_like(region, HATCH), 0.6, 0)
    canvas[part] = cv2.copyTo(mixed, layer, region.copy())


def legend(canvas: np.ndarray, entries: Sequence[tuple[str, Color, str]]) -> None:
    """Write what the marks mean into the lower left corner, in place.

    Args:
        canvas: `[H, W, 3]` uint8 RGB; small ones get no legend.
        entries: kind ("line" or "hatch"), color and words of each mark.
    """
    if min(canvas.shape[:2]) < _LEAST_PX or not entries:
        return
    size = 0.45 * unit(canvas)
    line, swatch = round(24 * unit(canvas)), round(28 * unit(canvas))
    left = round(10 * unit(canvas))
    top = canvas.shape[0] - line * len(entries) - left // 2
    widest = max(text_size(words, size)[0] for _, _, words in entries)
    box = canvas[max(0, top - line // 4) :, : 3 * left + swatch + widest]
    np.multiply(box, 0.35, out=box, casting="unsafe")
    for index, (kind, color, words) in enumerate(entries):
        y = top + line * index + line // 2
        mark = canvas[y - line // 3 : y + line // 3, left : left + swatch]
        if kind == "hatch":
            hatch(mark, np.ones(mark.shape[:2], bool), unit(canvas))
        else:
            ends = np.array([[left, y], [left + swatch, y]], float)
            lines(canvas, [ends], color, unit(canvas))
        place = (2 * left + swatch, y + line // 5)
        text(canvas, words, place, size=size, halo=False)

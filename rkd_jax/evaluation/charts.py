"""Charts drawn with OpenCV: a reliability curve and grouped bars."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PALE = (40, 40, 40), (205, 205, 205)  # RGB
_COLORS = ((31, 111, 139), (224, 134, 60), (120, 160, 90), (150, 110, 170))


def _write(
    canvas: np.ndarray,
    text: str,
    place: tuple[float, float],
    *,
    size: float = 0.45,
    align: float = 0.0,
    color: tuple[int, int, int] = _INK,
) -> None:
    """Write text with its baseline at a place; align 0 left, 0.5 middle, 1 right."""
    (width, _), _ = cv2.getTextSize(text, _FONT, size, 1)
    x, y = round(place[0] - align * width), round(place[1])
    cv2.putText(canvas, text, (x, y), _FONT, size, color, 1, cv2.LINE_AA)


def _line(
    canvas: np.ndarray,
    start: Sequence[float],
    end: Sequence[float],
    color: Sequence[int],
) -> None:
    points = [tuple(round(v) for v in point) for point in (start, end)]
    cv2.line(canvas, *points, tuple(color), 1, cv2.LINE_AA)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of `count` by Wilson's formula.

    Example:
        >>> [round(v, 3) for v in wilson_interval(0.5, 100)]
        [0.404, 0.596]
    """
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    spread = np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    half = float(z / (1 + z * z / count) * spread)
    return middle - half, middle + half


def reliability_chart(
    rows: Sequence[Mapping[str, float]], title: str, *, side: int = 420
) -> np.ndarray:
    """Draw how often registrations of a confidence are right.

    Args:
        rows: bins with "confidence" (mean), "right" (share) and "pairs" (count).
        title: above the chart.
        side: of the square of both axes, in pixels.

    Returns:
        uint8 `[side + 110, side + 100, 3]` RGB.
    """
    left, top = 70, 45
    canvas = np.full((side + 110, side + 100, 3), 255, np.uint8)

    def at(x: float, y: float) -> tuple[float, float]:
        return left + x * side, top + (1 - y) * side

    for tick in np.linspace(0, 1, 6):
        _line(canvas, at(tick, 0), at(tick, 1), _PALE)
        _line(canvas, at(0, tick), at(1, tick), _PALE)
        x, y = at(tick, 0)
        _write(canvas, f"{tick:.1f}", (x, y + 18), align=0.5)
        _write(canvas, f"{tick:.1f}", (left - 8, at(0, tick)[1] + 4), align=1.0)
    _line(canvas, at(0, 0), at(1, 1), (150, 150, 150))
    points = [at(row["confidence"], row["right"]) for row in rows]
    for start, end in itertools.pairwise(points):
        _line(canvas, start, end, _COLORS[0])
    for row, (x, y) in zip(rows, points, strict=True):
        low, high = wilson_interval(row["right"], int(row["pairs"]))
        ends = at(row["confidence"], low), at(row["confidence"], high)
        _line(canvas, *ends, _COLORS[0])
        cv2.circle(canvas, (round(x), round(y)), 4, _COLORS[0], -1, cv2.LINE_AA)
        _write(canvas, str(int(row["pairs"])), (x + 7, y + 14), size=0.38)
    _write(canvas, title, (left, 25))
    _write(canvas, "confidence", (left + side / 2, top + side + 40), align=0.5)
    note = "points: share of registrations that are right, 95 % interval, count"
    _write(canvas, note, (14, top + side + 58), size=0.36)
    return canvas


def bar_chart(
    bars: Mapping[str, Mapping[str, float | None]], title: str, *, width: int = 900
) -> np.ndarray:
    """Draw groups of horizontal bars on a scale of 0 to 1.

    Args:
        bars: group -> series -> value; None is left out. Series have one colour each.
        title: above the chart.
        width: in pixels.

    Returns:
        uint8 `[H, width, 3]` RGB, higher the more bars there are.
    """
    series = list(dict.fromkeys(name for group in bars.values() for name in group))
    left, top, step = 250, 70, 18
    rows = sum(len(group) for group in bars.values())
    height = top + rows * step + 14 * len(bars) + 30
    canvas = np.full((height, width, 3), 255, np.uint8)
    span = width - left - 60
    for tick in np.linspace(0, 1, 6):
        x = left + tick * span
        _line(canvas, (x, top - 6), (x, height - 24), _PALE)
        _write(canvas, f"{tick:.1f}", (x, height - 8), align=0.5)
    _write(canvas, title, (12, 22))
    for number, name in enumerate(series):
        color = _COLORS[number % len(_COLORS)]
        x = 12 + number * 215
        cv2.rectangle(canvas, (x, 36), (x + 12, 48), color, -1)
        _write(canvas, name, (x + 18, 47))
    y = top
    for group, values in bars.items():
        _write(canvas, group, (left - 10, y + step * len(values) / 2 + 4), align=1.0)
        for name, value in values.items():
            color = _COLORS[series.index(name) % len(_COLORS)]
            if value is not None:
                end = round(left + value * span)
                cv2.rectangle(canvas, (left, y + 2), (end, y + step - 3), color, -1)
                _write(canvas, f"{value:.3f}", (end + 5, y + 13), size=0.4)
            y += step
        y += 14
    return canvas

"""Pictures of a registration, drawn with OpenCV: matches and checkerboard."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.result import Registration

INLIER = (80, 220, 100)  # RGB
OUTLIER = (235, 90, 70)
_DIMMED = (np.arange(256) * 0.45).astype(np.uint8)  # by grey level
_BAR_PX = 40
_GAP_PX = 8
_MAX_LINES = 250
_WIDEST = 4  # times the height asked for: wider photographs are drawn less high
_LEAST_WIDTH_PX = 480  # for the text


def overlay_picture(
    fixed: np.ndarray,
    registered: np.ndarray,
    field_fixed: np.ndarray,
    field_registered: np.ndarray,
    *,
    tiles: int = 8,
) -> np.ndarray:
    """Draw a checkerboard of the fixed and the registered moving image.

    Vessels run on across the tiles where the registration is right. Where only one
    of the two shows the fundus, it is drawn dimmed.

    Args:
        fixed: `[H, W(, 3)]`.
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


def matches_picture(
    fixed: np.ndarray,
    moving: np.ndarray,
    registration: Registration,
    *,
    height: int = 900,
) -> np.ndarray:
    """Draw the matches of a registration, and below them a bar of text that says more.

    Args:
        fixed: `[H, W(, 3)]`, drawn on the left.
        moving: `[H', W'(, 3)]`, drawn on the right.
        registration: with points in pixels of these images.
        height: of the picture in px, without the bar; photographs more than four times
            as wide as high are drawn less high.

    Returns:
        uint8 `[height + 40, W'', 3]` RGB.
    """
    points = registration.matches.points_fixed, registration.matches.points_moving
    drawn = draw_matches(fixed, moving, *points, registration.inliers, height=height)
    missing = max(0, _LEAST_WIDTH_PX - drawn.shape[1])
    drawn = np.pad(drawn, ((0, 0), (0, missing), (0, 0)), constant_values=255)
    return np.concatenate([drawn, _bar(drawn.shape[1], registration)], axis=0)


def draw_matches(
    fixed: np.ndarray,
    moving: np.ndarray,
    fixed_xy: np.ndarray,
    moving_xy: np.ndarray,
    inliers: np.ndarray,
    *,
    height: int,
    gap: int = _GAP_PX,
) -> np.ndarray:
    """Draw both images side by side with lines between matched points.

    Green lines are inliers, drawn above the red outliers; at most 250 of each kind,
    evenly picked.

    Args:
        fixed: `[H, W(, 3)]`, drawn on the left.
        moving: `[H', W'(, 3)]`, drawn on the right.
        fixed_xy: `[M, 2]` matched points in pixels of `fixed`.
        moving_xy: `[M, 2]` their partners in pixels of `moving`.
        inliers: `[M]` bool.
        height: of the picture in px; less where an image is more than four times as
            wide as high.
        gap: between the images, px.

    Returns:
        uint8 `[height, W'', 3]` RGB.

    >>> eye, none = np.zeros((20, 30), np.uint8), np.zeros((0, 2))
    >>> draw_matches(eye, eye, none, none, np.zeros(0, bool), height=400).shape
    (400, 1208, 3)
    """
    flattest = max(image.shape[1] / image.shape[0] for image in (fixed, moving))
    # A long strip at full height would make a picture of gigabytes.
    height = max(1, min(height, int(_WIDEST * height / flattest)))
    left, left_scale = _scaled(to_rgb8(fixed), height)
    right, right_scale = _scaled(to_rgb8(moving), height)
    between = np.full((height, gap, 3), 255, np.uint8)
    canvas = np.concatenate([left, between, right], axis=1)
    offset = left.shape[1] + gap
    starts = resize_points(fixed_xy, left_scale)
    ends = resize_points(moving_xy, right_scale) + [offset, 0]
    for kind, color in ((False, OUTLIER), (True, INLIER)):
        rows = np.flatnonzero(inliers == kind)
        if len(rows) > _MAX_LINES:
            rows = rows[np.linspace(0, len(rows) - 1, _MAX_LINES).astype(int)]
        _draw_lines(canvas, starts[rows], ends[rows], color)
    return canvas


def _scaled(image: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring an image to a height; return it and its (x, y) scale."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    shrinks = height < image.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (width, height), interpolation=way)
    return resized, np.array([width / image.shape[1], height / image.shape[0]])


def _draw_lines(
    canvas: np.ndarray, starts: np.ndarray, ends: np.ndarray, color: tuple
) -> None:
    """Draw smooth, half-transparent lines with dots at their ends."""
    fraction = 3  # OpenCV's sub-pixel bits
    layer = canvas.copy()
    points = np.round(np.stack([starts, ends], axis=1) * 2**fraction).astype(int)
    for start, end in points:
        cv2.line(layer, tuple(start), tuple(end), color, 1, cv2.LINE_AA, fraction)
    cv2.addWeighted(layer, 0.6, canvas, 0.4, 0.0, dst=canvas)
    for point in points.reshape(-1, 2):
        radius = int(2.5 * 2**fraction)
        cv2.circle(canvas, tuple(point), radius, color, -1, cv2.LINE_AA, fraction)


def _bar(width: int, registration: Registration) -> np.ndarray:
    """Return the bar of text below the matches."""
    bar = np.full((_BAR_PX, width, 3), 24, np.uint8)
    if registration.ok:
        verdict, color = "registered", INLIER
    else:
        verdict, color = f"not registered: {registration.reason}", OUTLIER
    counts = f"{int(registration.inliers.sum())} of {len(registration.matches)}"
    text = f"{verdict} | {counts} matches are inliers"
    text += f" | confidence {registration.confidence:.2f}"
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.6
    (needed, _), _ = cv2.getTextSize(text, font, size, 1)
    size *= min(1.0, (width - 24) / max(needed, 1))
    place = (12, _BAR_PX // 2 + 6)
    cv2.putText(bar, text, place, font, size, color, 1, cv2.LINE_AA)
    return bar

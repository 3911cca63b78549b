"""Both photographs with their matches: dots for all, lines for a few."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.images.pictures import display_scale, to_rgb8, to_uint8
from rkd_jax.registration.fitting.spread import spread_out
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.scene import Scene
from rkd_jax.registration.result import Registration

INLIER = (80, 220, 100)  # RGB
OUTLIER = (235, 90, 70)
_RING = (30, 30, 30)
_GAP_PX = 8
_LINES = {False: 10, True: 30}  # of outliers, of inliers: more would hide the eye
_MOST_DOTS = 2000
_RADIUS_PX = {False: 1.8, True: 2.5}
_WIDEST = 4  # times the height asked for: wider photographs are drawn less high
_LEAST_WIDTH_PX = 480  # for the text
_EDGE_PX, _LINE_PX = 12, 26  # of the bar of text
_LARGEST_TEXT, _SMALLEST_TEXT = 0.6, 0.45


def draw(scene: Scene) -> np.ndarray:
    """Draw the matches of a pair, registered or not, and the result below them."""
    fixed, moving = (
        to_uint8(image, display_scale(image)) for image in (scene.fixed, scene.moving)
    )
    return matches_picture(fixed, moving, scene.registration)


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
        uint8 `[H'', W'', 3]` RGB; the bar has 40 px, and 26 px more with each further
        line of text.
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
    """Draw both images side by side with dots at matched points, and some lines.

    Green dots are inliers, drawn above the smaller red ones of outliers. Lines join 30
    inliers and 10 outliers, spread over the fixed image.

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
    left, left_scale = _scaled(fixed, height)
    right, right_scale = _scaled(moving, height)
    between = np.full((height, gap, 3), 255, np.uint8)
    canvas = np.concatenate([left, between, right], axis=1)
    offset = left.shape[1] + gap
    starts = resize_points(fixed_xy, left_scale)
    ends = resize_points(moving_xy, right_scale) + [offset, 0]
    kinds = []
    layer = canvas.copy()
    for kind, color in ((False, OUTLIER), (True, INLIER)):
        rows = np.flatnonzero(inliers == kind)
        if len(rows) > _MOST_DOTS:
            rows = rows[np.linspace(0, len(rows) - 1, _MOST_DOTS).astype(int)]
        kinds.append((kind, color, rows))
        chosen = rows[spread_out(starts[rows], _LINES[kind])]
        curves = np.stack([starts[chosen], ends[chosen]], axis=1)
        marks.lines(layer, list(curves), color, 1)
    cv2.addWeighted(layer, 0.6, canvas, 0.4, 0.0, dst=canvas)
    for kind, color, rows in kinds:
        for points in (starts[rows], ends[rows]):
            # A dark ring: red dots would not be seen on a red fundus.
            marks.dots(canvas, points, _RING, _RADIUS_PX[kind] + 0.8)
            marks.dots(canvas, points, color, _RADIUS_PX[kind])
    return canvas


def _scaled(image: np.ndarray, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Bring an image to a height; return it as RGB and its (x, y) scale."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    shrinks = height < image.shape[0]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(to_uint8(image), (width, height), interpolation=way)
    scale = np.array([width / image.shape[1], height / image.shape[0]])
    return to_rgb8(resized), scale


def _bar(width: int, registration: Registration) -> np.ndarray:
    """Return the bar of text below the matches, of as many lines as are needed."""
    size, limit = _LARGEST_TEXT, width - 2 * _EDGE_PX
    words = _result(registration).split()
    whole = marks.text_size(" ".join(words), size)[0]
    size = max(_SMALLEST_TEXT, size * min(1.0, limit / max(whole, 1)))
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and marks.text_size(longer, size)[0] > limit:
            lines.append(word)
        else:
            lines[-1] = longer
    bar = np.full((_LINE_PX * len(lines) + 14, width, 3), 24, np.uint8)
    color = INLIER if registration.ok else OUTLIER
    for index, line in enumerate(lines):
        place = (_EDGE_PX, _LINE_PX * (index + 1))
        marks.text(bar, line, place, size=size, color=color, halo=False)
    return bar


def _result(registration: Registration) -> str:
    """Return the result in words."""
    ok, error = registration.ok, registration.error_map
    parts = ["registered" if ok else f"not registered: {registration.reason}"]
    count, total = int(registration.inliers.sum()), len(registration.matches)
    parts.append(f"{count} of {total} matches are inliers")
    parts.append(f"confidence {registration.confidence:.2f}")
    if ok and error is not None:
        found = error.summary()
        if found["median_px"] is None:
            parts.append("expected error not known")
        else:
            parts.append(
                f"expected error {found['median_px']:.1f} px, worst "
                f"{found['worst_px']:.1f} px"
            )
    return " | ".join(parts)

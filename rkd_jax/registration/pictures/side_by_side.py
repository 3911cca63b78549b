"""The fixed and the registered image next to each other, with one grid of places."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.scene import Scene

_SIDE_PX = 1100  # longer side of each image
_EDGE_PX = 44  # for the numbers of the grid
_TITLE_PX = 32
_STEPS = (1, 2, 5, 10)
_LINES = 6  # about so many lines along the longer side
_BACKGROUND = 24


def draw(scene: Scene) -> np.ndarray:
    """Draw both images with lines at the same places, numbered in px of the fixed file.

    Returns:
        uint8 `[h, w, 3]` RGB.
    """
    height, width = scene.size
    share = min(1.0, _SIDE_PX / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    panels = []
    views = (scene.fixed_view, "fixed"), (scene.registered_view, "registered")
    for image, title in views:
        small = cv2.resize(to_rgb8(image), size, interpolation=cv2.INTER_AREA)
        panels.append(_panel(small, title, scene.fixed.shape[:2]))
    return np.concatenate(panels, axis=1)


def grid_step(side_px: int) -> int:
    """Return a round distance in px so that a side has about six lines.

    >>> [grid_step(side) for side in (8, 640, 2912)]
    [1, 100, 500]
    """
    wanted = max(1.0, side_px / _LINES)
    scale = 10 ** int(np.floor(np.log10(wanted)))
    return min((step * scale for step in _STEPS), key=lambda step: abs(step - wanted))


def _panel(image: np.ndarray, title: str, file_size: tuple[int, int]) -> np.ndarray:
    """Return an image with its grid, in a frame with numbers and a title."""
    height, width = image.shape[:2]
    step = grid_step(max(file_size))
    layer = image.copy()
    frame = np.full(
        (height + _TITLE_PX + _EDGE_PX // 2, width + _EDGE_PX + 8, 3),
        _BACKGROUND,
        np.uint8,
    )
    marks.text(frame, title, (_EDGE_PX, 22), size=0.6, halo=False)
    for axis, (side, drawn) in enumerate(zip(file_size[::-1], (width, height))):
        for place in range(step, side, step):
            at = (place + 0.5) * drawn / side - 0.5
            ends = np.full((2, 2), at)
            ends[:, 1 - axis] = 0, (height, width)[axis]
            marks.lines(layer, [ends], marks.TEXT, 1)
            words = str(place)
            if axis == 0:
                corner = _EDGE_PX + at - marks.text_size(words, 0.4)[0] / 2
                spot = (corner, _TITLE_PX + height + 14)
            else:
                corner = _EDGE_PX - 5 - marks.text_size(words, 0.4)[0]
                spot = (corner, _TITLE_PX + at + 5)
            marks.text(frame, words, spot, size=0.4, halo=False)
    inner = frame[_TITLE_PX : _TITLE_PX + height, _EDGE_PX : _EDGE_PX + width]
    inner[...] = cv2.addWeighted(layer, 0.3, image, 0.7, 0)
    return frame

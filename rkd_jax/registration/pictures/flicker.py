"""Both images in turn: what moves between them is seen at once."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.scene import Scene

_SIDE_PX = 900
_SMALL = 0.7  # of the picture: a smaller overlap is cut out
_LABEL_PX = 26


def draw(scene: Scene) -> list[np.ndarray]:
    """Return the frames: the fixed image, then the registered one in its light.

    The longer side has at most 900 px. A small overlap is cut out. A bar below each
    frame names it.

    Returns:
        Two pictures `[h, w, 3]`, uint8 RGB.
    """
    rows, columns = crop(scene.overlap)
    frames = []
    views = (scene.fixed_view, "fixed"), (scene.matched_view, "registered")
    for image, name in views:
        part = image[rows, columns]
        share = min(1.0, _SIDE_PX / max(part.shape[:2]))
        size = tuple(max(1, round(side * share)) for side in part.shape[1::-1])
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        frames.append(_named(to_rgb8(part), name))
    return frames


def crop(overlap: np.ndarray) -> tuple[slice, slice]:
    """Return rows and columns to show: all, or those of a small overlap.

    >>> overlap = np.zeros((100, 100), bool)
    >>> overlap[40:60, 10:50] = True
    >>> crop(overlap)
    (slice(38, 62, None), slice(8, 52, None))
    """
    whole = slice(0, overlap.shape[0]), slice(0, overlap.shape[1])
    if not overlap.any():
        return whole
    found = []
    for axis in (1, 0):
        filled = np.flatnonzero(overlap.any(axis=axis))
        length = overlap.shape[1 - axis]
        edge = round(0.02 * length)
        start = max(0, int(filled[0]) - edge)
        found.append(slice(start, min(length, int(filled[-1]) + 1 + edge)))
    area = np.prod([part.stop - part.start for part in found])
    return tuple(found) if area < _SMALL * overlap.size else whole


def _named(picture: np.ndarray, name: str) -> np.ndarray:
    bar = np.full((_LABEL_PX, picture.shape[1], 3), 24, np.uint8)
    marks.text(bar, name, (8, _LABEL_PX - 8), size=0.5, halo=False)
    return np.concatenate([picture, bar])

"""The half-pixel rule: where points lie after their image is resized."""

from typing import Any

import numpy as np


def resize_points(xy: Any, scale: Any) -> Any:
    """Map points of an image to the image resized by s: x to (x + 0.5) s - 0.5.

    Pixel centres are whole numbers, so the image begins at -0.5. The inverse is the
    resize by 1 / s.

    Args:
        xy: `[..., 2]` points (x, y) in px, array-like or a JAX array.
        scale: pixels after to one pixel before, a number or (sx, sy).

    Returns:
        `[..., 2]` points in px of the resized image: JAX of JAX arrays, else float64.

    >>> resize_points([[0.0, 9.5]], 2).tolist()
    [[0.5, 19.5]]
    >>> resize_points([[0.5, 19.5]], 1 / 2).tolist()
    [[0.0, 9.5]]
    """
    xp = getattr(xy, "__array_namespace__", lambda: np)()
    if xp is np:
        xy = np.asarray(xy, np.float64)
    scale = xp.broadcast_to(xp.asarray(scale, dtype=xy.dtype), xy.shape)
    return (xy + 0.5) * scale - 0.5

"""The moving image in the frame of the fixed one, in the depth of its file."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.pictures.scene import Scene


def draw(scene: Scene) -> np.ndarray:
    """Return the registered image of the fixed file's size.

    Returns:
        `[H, W(, 3)]`: uint8 of a file of 8 bits. Of others: with `scene.own_values` the
        values of the file, uint16 or float32; else uint16, brightened by
        `scene.moving_scale`, as a PNG holds no floats.
    """
    image = scene.registered
    if image.dtype == np.uint8:
        return image
    if scene.own_values and scene.depth.dtype.kind == "f":
        return (image * np.float32(scene.depth.top)).astype(np.float32)
    scale = 1.0 if scene.own_values else scene.moving_scale
    # Strip by strip: whole copies in float would take as much memory as the image.
    out = np.empty(image.shape, np.uint16)
    for top in range(0, len(image), 256):
        part = np.clip(image[top : top + 256] * np.float32(scale), 0.0, 1.0)
        out[top : top + 256] = np.rint(part * np.float32(65535))
    return out

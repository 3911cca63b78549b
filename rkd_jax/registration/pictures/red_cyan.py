"""The fixed image in red, the registered one in cyan; grey where they agree."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.channels import green_or_fullest
from rkd_jax.registration.pictures.light import match_light
from rkd_jax.registration.pictures.scene import Scene

_ALONE = 0.45  # of the brightness, where only one image shows the fundus
_DARKEST, _BRIGHTEST = 1, 99.5  # percentiles that are stretched to the whole range


def draw(scene: Scene) -> np.ndarray:
    """Draw both images in one, by their green channels.

    Returns:
        uint8 `[h, w, 3]` RGB.
    """
    return red_cyan(
        scene.fixed_view,
        scene.registered_view,
        scene.field_fixed,
        scene.field_registered,
    )


def red_cyan(
    fixed: np.ndarray,
    registered: np.ndarray,
    field_fixed: np.ndarray,
    field_registered: np.ndarray,
) -> np.ndarray:
    """Return an overlay whose red is the fixed and whose cyan the registered image.

    Both are brought to one light and stretched alike. Outside the overlap the one image
    there is, is dimmed in its color.

    Args:
        fixed: `[H, W(, 3)]` uint8.
        registered: the moving image in the fixed frame, the same size.
        field_fixed: `[H, W]` bool, where the fixed image shows the fundus.
        field_registered: `[H, W]` bool, where the moving image does.

    Returns:
        uint8 `[H, W, 3]` RGB.
    """
    red = np.ascontiguousarray(green_or_fullest(fixed))
    cyan = np.ascontiguousarray(green_or_fullest(registered))
    both = field_fixed & field_registered
    cyan = match_light(cyan, red, both)
    seen = red[both if both.any() else np.ones_like(both)][::17]
    low, high = np.percentile(seen, [_DARKEST, _BRIGHTEST])
    levels = (np.arange(256) - low) * (255 / max(high - low, 1.0))
    channels = []
    for levels_of, field in ((red, field_fixed), (cyan, field_registered)):
        bright = cv2.LUT(levels_of, np.clip(levels, 0, 255).astype(np.uint8))
        dim = cv2.convertScaleAbs(bright, alpha=_ALONE)
        cv2.copyTo(bright, both.astype(np.uint8), dim)
        cv2.copyTo(np.zeros_like(dim), (~field).astype(np.uint8), dim)
        channels.append(dim)
    return cv2.merge([channels[0], channels[1], channels[1]])

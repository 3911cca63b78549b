"""A picture of what in an image speaks for a class, beside the image."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.classification.result import Classification
from rkd_jax.images.pictures import visible_rgb8

_SMALLEST, _LARGEST = 384, 1024  # px of the longer side of each half
_STRONGEST = 0.6  # of the color, where the map is 1
_BAR_PX = 32


def draw_explanation(image: np.ndarray, found: Classification) -> np.ndarray:
    """Draw an image, and right of it the same with its explanation in color.

    Args:
        image: `[H, W]` or `[H, W, 3]` as read.
        found: of this image, with an explanation.

    Returns:
        uint8 RGB, a line of text above both.

    Raises:
        ValueError: there is no explanation.

    >>> heat = np.zeros((300, 400), np.float32)
    >>> found = Classification(("no", "yes"), np.array([0.2, 0.8]), None, None,
    ...     (400, 300), heat, "yes")
    >>> draw_explanation(np.zeros((300, 400), np.uint8), found).shape
    (332, 800, 3)
    """
    if found.explanation is None:
        raise ValueError("no explanation; call classify with explain=True")
    longer = max(found.image_size)
    scale = min(max(longer, _SMALLEST), _LARGEST) / longer
    width, height = (max(1, round(scale * side)) for side in found.image_size)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    plain = cv2.resize(visible_rgb8(image), (width, height), interpolation=how)
    heat = cv2.resize(found.explanation, (width, height), interpolation=how)
    colored = cv2.applyColorMap(
        np.rint(255 * heat).astype(np.uint8), cv2.COLORMAP_TURBO
    )
    share = _STRONGEST * heat[..., None]
    mixed = (1 - share) * plain + share * colored[..., ::-1]
    both = np.concatenate([plain, np.rint(mixed).astype(np.uint8)], axis=1)
    bar = np.zeros((_BAR_PX, both.shape[1], 3), np.uint8)
    probability = found.probabilities[found.classes.index(found.explained)]
    text = f"{found.explained}: {probability:.2f}"
    cv2.putText(
        bar,
        text.encode("ascii", "replace").decode(),  # OpenCV has no other letters
        (8, 22),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.6,
        (255, 255, 255),
        1,
        cv2.LINE_AA,
    )
    return np.concatenate([bar, both])

"""Pictures of noise, with and without structure that a detector finds."""

import cv2
import numpy as np


def photo(seed, height=40, width=56):
    """Return a uint8 `[H, W, 3]` picture of white noise."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, (height, width, 3), np.uint8)


def texture(seed, *shape):
    """Return a smooth uint8 picture `[H, W]` or `[H, W, 3]` with corners and blobs."""
    rng = np.random.default_rng(seed)
    total = np.zeros(shape)
    for sigma in (2.5, 6):
        layer = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), sigma)
        total += layer / layer.std()
    total = (total - total.min()) / (total.max() - total.min())
    return np.round(20 + 220 * total).astype(np.uint8)

"""The inputs of both sides; NumPy alone, so that neither side loads the other."""

import numpy as np


def images(size: int, batch: int) -> np.ndarray:
    """Draw smooth random images `[B, S, S, 1]` float32 in 0..1."""
    rng = np.random.default_rng(0)
    noise = np.fft.rfft2(rng.normal(size=(batch, size, size)))
    y, x = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    smooth = np.fft.irfft2(noise * np.exp(-200 * (y**2 + x**2)), s=(size, size))
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low)).astype(np.float32)[..., None]


def labels(size: int, batch: int, count: int = 43) -> np.ndarray:
    """Draw keypoints `[B, count, 2]`, as many as a labeled image has."""
    rng = np.random.default_rng(1)
    return rng.uniform(12, size - 12, (batch, count, 2)).astype(np.float32)

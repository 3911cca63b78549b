"""Give one photograph the light of another, for a picture of both."""

from __future__ import annotations

import cv2
import numpy as np

_SIDE_PX = 256  # the light is compared on small copies
_REACH = 1 / 20  # of the longer side: over how much of the image light is averaged
_MOST_GAIN = 2.5
_NOISE = 2.0  # grey levels; less spread than this is not stretched
_FAINT = 1e-3  # weight of the whole image where there is nothing to compare around
_COLORED = 6.0  # grey levels between channels; a scan of a grey photograph has fewer
_STRIP_ROWS = 256


def match_light(
    image: np.ndarray, reference: np.ndarray, where: np.ndarray
) -> np.ndarray:
    """Change an image's light to that of another one: smooth gain and offset.

    Mean and spread around each place become those of the reference, in each channel of
    two color photographs. Of a grey and a color photograph only the mean brightness is
    matched, by one gain for all channels, so that hues stay. No gain is negative: what
    is brighter than its surroundings stays so, as vessels in an angiogram.

    Args:
        image: `[H, W]` or `[H, W, 3]` uint8.
        reference: `[H, W]` or `[H, W, 3]` uint8.
        where: `[H, W]` bool, where both show the same.

    Returns:
        As `image`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> eye = rng.integers(60, 200, (40, 40), np.uint8)
        >>> dark = (eye * 0.5 + 10).astype(np.uint8)
        >>> like = match_light(dark, eye, np.ones((40, 40), bool))
        >>> bool(np.abs(like.astype(int) - eye).mean() < 2)
        True
    """
    height, width = image.shape[:2]
    share = min(1.0, _SIDE_PX / max(height, width))
    small = (max(1, round(width * share)), max(1, round(height * share)))

    # A mean over 4 x 4 of the pixels is enough, and four times as fast as over all.
    step = max(1, int(1 / share) // 4)

    def shrunk(values: np.ndarray) -> np.ndarray:
        thinned = np.ascontiguousarray(values[::step, ::step])
        return cv2.resize(thinned, small, interpolation=cv2.INTER_AREA)

    weight = (shrunk(where.astype(np.uint8) * 255) == 255).astype(np.float32)
    if weight.sum() < 4:
        return image
    copies = [shrunk(values) for values in (image, reference)]
    colored = [_is_colored(copy, weight) for copy in copies]
    if not all(colored):
        copies = [_luminance(copy) for copy in copies]
    levels, wanted = (copy.astype(np.float32) for copy in copies)
    (mean, spread), (mean_wanted, spread_wanted) = (
        _statistics(values.reshape(*values.shape[:2], -1), weight)
        for values in (levels, wanted)
    )
    if colored[0] != colored[1]:
        gain = _bounded((mean_wanted + _NOISE) / (mean + _NOISE))
        return _apply(image, gain, np.zeros_like(gain))
    gain = _bounded((spread_wanted + _NOISE) / (spread + _NOISE))
    return _apply(image, gain, mean_wanted - gain * mean)


def _bounded(gain: np.ndarray) -> np.ndarray:
    return np.clip(gain, 1 / _MOST_GAIN, _MOST_GAIN)


def _luminance(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _is_colored(image: np.ndarray, weight: np.ndarray) -> bool:
    if image.ndim == 2:
        return False
    inside = image[weight > 0].astype(np.int16)
    return bool(np.ptp(inside, axis=1).mean() > _COLORED)


def _statistics(values: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return mean and spread around each place, `[h, w, C]` each."""
    weight = weight[..., None]
    sigma = max(1.0, _REACH * max(values.shape[:2]))
    total = float(weight.sum())

    def around(quantity: np.ndarray) -> np.ndarray:
        whole = (quantity * weight).sum(axis=(0, 1)) / total
        near = cv2.GaussianBlur(quantity * weight, (0, 0), sigma)
        near = near.reshape(quantity.shape) + _FAINT * whole
        return near / (cv2.GaussianBlur(weight, (0, 0), sigma)[..., None] + _FAINT)

    mean = around(values)
    return mean, np.sqrt(np.maximum(around(values**2) - mean**2, 0))


def _apply(image: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return gain * image + offset, both of which come on a smaller grid."""
    height, width = image.shape[:2]
    channels = 1 if image.ndim == 2 else image.shape[2]
    # First to full height, then strip by strip to full width: little memory.
    parts = []
    for part in (gain, offset):
        part = np.repeat(part, channels // part.shape[2], axis=2)
        tall = (part.shape[1], height)
        parts.append(cv2.resize(part, tall, interpolation=cv2.INTER_LINEAR))
    out = np.empty_like(image)
    for top in range(0, height, _STRIP_ROWS):
        rows = slice(top, min(height, top + _STRIP_ROWS))
        size = (width, rows.stop - rows.start)
        wide_gain, wide_offset = (
            cv2.resize(part[rows], size, interpolation=cv2.INTER_LINEAR)
            for part in parts
        )
        lit = cv2.multiply(image[rows], wide_gain, dtype=cv2.CV_32F)
        # Not `convertScaleAbs`, which turns what is below zero into its opposite.
        lit = cv2.add(lit, wide_offset, dtype=cv2.CV_8U)
        out[rows] = lit.reshape(out[rows].shape)
    return out

"""Extrema of the difference of Gaussians: SIFT's keypoints, best first."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized

CONTRAST = 0.01  # OpenCV's default of 0.04 leaves a few hundred points on a fundus


def make_sift() -> cv2.SIFT:
    """Return OpenCV's SIFT as it is used here, with its unbiased first octave."""
    return cv2.SIFT_create(
        nfeatures=0, contrastThreshold=CONTRAST, enable_precise_upscale=True
    )


def root_sift(descriptors: np.ndarray) -> np.ndarray:
    """Take the square root of L1-normalized SIFT descriptors `[K, 128]`.

    The result has unit Euclidean norm. Source: Arandjelovic and Zisserman, CVPR
    2012.

    Example:
        >>> root_sift(np.array([[4.0, 12.0, 0.0]], np.float32)).round(3).tolist()
        [[0.5, 0.8659999966621399, 0.0]]
    """
    total = np.maximum(descriptors.sum(axis=1, keepdims=True), 1e-12)
    return np.sqrt(descriptors / total).astype(np.float32)


def to_levels(prepared: Resized) -> np.ndarray:
    """Return the picture without its padding, uint8 `[h, w]`."""
    height, width = prepared.size
    return np.round(prepared.image[:height, :width] * 255).astype(np.uint8)


def dog_keypoints(
    sift: cv2.SIFT, prepared: Resized, field: np.ndarray, *, border: int, limit: int
) -> list[cv2.KeyPoint]:
    """Find keypoints of a prepared image, the strongest first.

    Args:
        sift: of `make_sift`.
        prepared: the image.
        field: `[S, S]` bool, where keypoints may lie.
        border: margin without keypoints, in px.
        limit: at most so many.

    Returns:
        OpenCV's keypoints in working pixels. One place may come with several
        orientations.
    """
    height, width = prepared.size
    mask = np.zeros((height, width), np.uint8)
    inside = (slice(border, height - border), slice(border, width - border))
    mask[inside] = field[:height, :width][inside]
    found = sift.detect(to_levels(prepared), mask)
    # Equal responses stay in OpenCV's order, which is the same on every run.
    return sorted(found, key=lambda point: -point.response)[:limit]


def dog_points(
    sift: cv2.SIFT, prepared: Resized, field: np.ndarray, *, border: int, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the places of keypoints, each once, in arrays of a fixed size.

    Returns:
        `xy [limit, 2]` float32 in working pixels, and `mask [limit]` bool.
    """
    found = dog_keypoints(sift, prepared, field, border=border, limit=2 * limit)
    xy, mask = np.zeros((limit, 2), np.float32), np.zeros(limit, bool)
    if found:
        places = cv2.KeyPoint.convert(found)
        _, first = np.unique(np.round(places, 1), axis=0, return_index=True)
        places = places[np.sort(first)][:limit]
        xy[: len(places)], mask[: len(places)] = places, True
    return xy, mask

"""OpenCV's SIFT as a baseline: the same images, matching and fitting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from rkd_jax.data.preprocess import Resized
from rkd_jax.keypoints import Keypoints
from rkd_jax.matching.base import BaseMatcher
from rkd_jax.matching.options import MatcherOptions

_CONTRAST = 0.01  # OpenCV's default of 0.04 leaves a few hundred points on a fundus


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


class SiftMatcher(BaseMatcher):
    """Registers photographs by SIFT keypoints with RootSIFT descriptors.

    Of the options `threshold`, `nms_*` and `subpixel` mean nothing here. The default
    differs from the network's: at most 4000 points and ratio 0.85.

    Example:
        >>> SiftMatcher(working_size=256).options.ratio
        0.85
    """

    def __init__(self, options: MatcherOptions | None = None, **changes: Any) -> None:
        default = MatcherOptions(max_keypoints=4000, ratio=0.85)
        self.options = dataclasses.replace(options or default, **changes)
        self.working_size = self.options.working_size or 768
        self._sift = cv2.SIFT_create(
            nfeatures=0, contrastThreshold=_CONTRAST, enable_precise_upscale=True
        )

    def settings(self) -> dict[str, Any]:
        return {
            "method": "sift",
            "contrast_threshold": _CONTRAST,
            **dataclasses.asdict(self.options),
            "working_size": self.working_size,
        }

    def _features(self, views: Sequence[tuple[Resized, np.ndarray]]) -> list[Keypoints]:
        return [self._one(prepared, field) for prepared, field in views]

    def _one(self, prepared: Resized, field: np.ndarray) -> Keypoints:
        height, width = prepared.size
        image = np.round(prepared.image[:height, :width] * 255).astype(np.uint8)
        mask = np.zeros((height, width), np.uint8)
        edge = self.options.border
        inside = (slice(edge, height - edge), slice(edge, width - edge))
        mask[inside] = field[:height, :width][inside]
        found = self._sift.detect(image, mask)
        # Equal responses stay in OpenCV's order, which is the same on every run.
        found = sorted(found, key=lambda point: -point.response)
        found = found[: self.options.max_keypoints]
        descriptors = np.zeros((self.options.max_keypoints, 128), np.float32)
        xy = np.zeros((self.options.max_keypoints, 2), np.float32)
        scores = np.zeros(self.options.max_keypoints, np.float32)
        if found:
            found, raw = self._sift.compute(image, found)
            descriptors[: len(found)] = root_sift(raw)
            xy[: len(found)] = cv2.KeyPoint.convert(found)
            scores[: len(found)] = [point.response for point in found]
        mask = np.arange(self.options.max_keypoints) < len(found)
        return Keypoints(xy=xy, scores=scores, mask=mask, descriptors=descriptors)

"""OpenCV's SIFT as a baseline: the same images, matching and fitting."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.base import BaseMatcher
from rkd_jax.registration.keypoints.dog import (
    CONTRAST,
    dog_keypoints,
    make_sift,
    root_sift,
    to_levels,
)
from rkd_jax.registration.options import MatcherOptions


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
        self._sift = make_sift()

    def settings(self) -> dict[str, Any]:
        return {
            "method": "sift",
            "contrast_threshold": CONTRAST,
            **super().settings(),
        }

    def _features(self, views: Sequence[tuple[Resized, np.ndarray]]) -> list[Keypoints]:
        return [self._one(prepared, field) for prepared, field in views]

    def _one(self, prepared: Resized, field: np.ndarray) -> Keypoints:
        image = to_levels(prepared)
        found = dog_keypoints(
            self._sift,
            prepared,
            field,
            border=self.options.border,
            limit=self.options.max_keypoints,
        )
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

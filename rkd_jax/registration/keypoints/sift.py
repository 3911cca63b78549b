"""OpenCV's SIFT as a baseline: the same images, matching and fitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.keypoints.dog import (
    CONTRAST,
    dog_keypoints,
    make_sift,
    root_sift,
    to_levels,
)
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo

SIFT_OPTIONS = MatcherOptions(max_keypoints=4000, ratio=0.85)


class SiftKeypoints:
    """SIFT keypoints with RootSIFT descriptors: a `Detector`.

    Of the options `threshold`, `nms_*` and `subpixel` mean nothing here.

    Args:
        options: settings.

    Example:
        >>> SiftKeypoints(SIFT_OPTIONS).working_size
        768
    """

    upright = False

    def __init__(self, options: MatcherOptions) -> None:
        self.options = options
        self.working_size = options.working_size or 768
        self._sift = make_sift()

    def settings(self) -> dict[str, Any]:
        """Return what the keypoints depend on besides the options."""
        return {"method": "sift", "contrast_threshold": CONTRAST}

    def __call__(self, photos: Sequence[Photo]) -> list[Keypoints]:
        """Find the keypoints of photographs, in pixels of their images."""
        return [self._one(photo) for photo in photos]

    def _one(self, photo: Photo) -> Keypoints:
        found = dog_keypoints(
            self._sift,
            photo,
            photo.field,
            border=self.options.border,
            limit=self.options.max_keypoints,
        )
        descriptors = np.zeros((self.options.max_keypoints, 128), np.float32)
        xy = np.zeros((self.options.max_keypoints, 2), np.float32)
        scores = np.zeros(self.options.max_keypoints, np.float32)
        if found:
            found, raw = self._sift.compute(to_levels(photo), found)
            descriptors[: len(found)] = root_sift(raw)
            xy[: len(found)] = cv2.KeyPoint.convert(found)
            scores[: len(found)] = [point.response for point in found]
        mask = np.arange(self.options.max_keypoints) < len(found)
        return Keypoints(xy=xy, scores=scores, mask=mask, descriptors=descriptors)

"""SIFT's keypoints of a photograph with turn and size, from a large copy of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.keypoints.dog import make_sift, root_sift, to_levels
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.search.rectify import cut

_SIFT_SIDE_PX = 1536  # of the copy: twice the usual working size
_SIFT_POINTS = 4096


@dataclasses.dataclass(frozen=True, eq=False)
class Oriented:
    """SIFT's keypoints of one photograph, of a fixed number.

    Attributes:
        keypoints: `xy` in working pixels, RootSIFT descriptors.
        angle_deg: `[K]` orientations, clockwise from the x axis.
        size: `[K]` diameters in working pixels.
    """

    keypoints: Keypoints
    angle_deg: np.ndarray
    size: np.ndarray


def oriented_points(photo: Photo) -> Oriented:
    """Find SIFT's keypoints with turn and size, the strongest of every octave.

    They come from a copy with a side of up to `_SIFT_SIDE_PX`.
    """
    x0, y0, x1, y1 = box = photo.box
    side = min(_SIFT_SIDE_PX, max(x1 - x0, y1 - y0))
    finer = photo
    if side > photo.field.shape[0]:
        finer = cut(photo, box, side)
    else:
        side = photo.field.shape[0]
    sift = make_sift()
    image = to_levels(finer)
    height, width = image.shape
    found = sift.detect(image, finer.field[:height, :width].astype(np.uint8))
    kept = _of_every_octave(found, _SIFT_POINTS)
    xy, angle = np.zeros((_SIFT_POINTS, 2)), np.zeros(_SIFT_POINTS)
    size = np.ones(_SIFT_POINTS)
    descriptors = np.zeros((_SIFT_POINTS, 128), np.float32)
    count = 0
    if kept:
        kept, raw = sift.compute(image, kept)
        count = len(kept)
        descriptors[:count] = root_sift(raw)
        places = finer.to_file(cv2.KeyPoint.convert(kept))
        xy[:count] = photo.from_file(places)
        angle[:count] = [point.angle for point in kept]
        size[:count] = [point.size for point in kept]
    mask = np.arange(_SIFT_POINTS) < count
    keypoints = Keypoints(
        xy=xy, scores=mask.astype(np.float32), mask=mask, descriptors=descriptors
    )
    return Oriented(keypoints, angle, size * (photo.field.shape[0] / side))


def _of_every_octave(points: Sequence[cv2.KeyPoint], limit: int) -> list[cv2.KeyPoint]:
    """Keep the strongest points of each octave, at most `limit` in all.

    Most points are of fine octaves. Without a share of their own, none of the coarse
    ones would be kept, by which a narrow field is found in a wide one.
    """
    octaves: dict[int, list[cv2.KeyPoint]] = {}
    for point in sorted(points, key=lambda point: -point.response):
        octaves.setdefault(point.octave & 255, []).append(point)
    kept: list[cv2.KeyPoint] = []
    groups = sorted(octaves.values(), key=len)
    for left, group in zip(range(len(groups), 0, -1), groups, strict=True):
        kept += group[: (limit - len(kept)) // left]
    return kept

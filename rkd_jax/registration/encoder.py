"""From files to photographs with keypoints: read, prepared and encoded once each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from rkd_jax.images.prepare import describe
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.warp import warp_photo
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo, Source, prepare_photo
from rkd_jax.registration.transforms import Transform


class Detector(Protocol):
    """Finds keypoints with descriptors (`registration.keypoints`).

    Attributes:
        working_size: the longer side of the images that it wants, in px.
        upright: whether it finds a point again only in photographs of nearly one turn.
    """

    working_size: int
    upright: bool

    def __call__(self, photos: Sequence[Photo]) -> list[Keypoints]:
        """Find the keypoints of prepared photographs, in pixels of their images."""

    def settings(self) -> dict[str, Any]:
        """Return what its keypoints depend on besides the options, ready for JSON."""


class Encoder:
    """Makes photographs with keypoints.

    Args:
        detector: finds the keypoints.
        options: how photographs are prepared and keypoints placed in the file.
    """

    def __init__(self, detector: Detector, options: MatcherOptions) -> None:
        self.detector, self.options = detector, options

    def photos(self, sources: Sequence[Source | Photo]) -> list[Photo]:
        """Read, prepare and encode photographs.

        They are prepared in threads. Keypoints are found in one photograph at a time:
        in batches of another size a network's results differ in their last digits.

        Args:
            sources: paths, encoded bytes or arrays; a `Photo` is returned as it is.

        Raises:
            FileNotFoundError, TypeError, ValueError: an image cannot be used.
        """
        size = self.detector.working_size

        def prepare(source: Source | Photo) -> Photo:
            if isinstance(source, Photo):
                return source
            return prepare_photo(source, self.options, size, name=describe(source))

        # Decoding and filtering leave the interpreter free: one thread an image.
        with ThreadPoolExecutor(max_workers=max(1, min(len(sources), 4))) as pool:
            return [
                photo if photo.keypoints is not None else self.encode(photo)
                for photo in pool.map(prepare, sources)
            ]

    def encode(self, photo: Photo) -> Photo:
        """Find the keypoints of a prepared photograph."""
        (keypoints,) = self.detector([photo])
        xy = self._to_file(photo, keypoints)
        return dataclasses.replace(photo, keypoints=keypoints, xy=xy)

    def _to_file(self, photo: Photo, keypoints: Keypoints) -> np.ndarray:
        """Return keypoints in file pixels, truncated if the options say so."""
        if not self.options.truncate_points:
            return photo.to_file(keypoints.xy)
        scale = np.asarray(photo.scale)
        return np.trunc(np.asarray(keypoints.xy, np.float64) / scale) + photo.box[:2]

    def encode_warped(self, fixed: Photo, moving: Photo, transform: Transform) -> Photo:
        """Find a photograph's keypoints in a copy drawn in the frame of another.

        Returns:
            The moving photograph; its keypoints are those of the copy, and lie in its
            own file.
        """
        image, field = warp_photo(fixed, moving, transform)
        height, width = fixed.size
        image = np.clip(image, 0, 1)
        image[height:], image[:, width:] = 0, 0
        copy = dataclasses.replace(fixed, image=image, field=field & fixed.field)
        (keypoints,) = self.detector([copy])
        xy = transform.apply_inverse(self._to_file(copy, keypoints))
        return dataclasses.replace(moving, keypoints=keypoints, xy=xy)

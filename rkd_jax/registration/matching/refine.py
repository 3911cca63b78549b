"""Patch refinement: matched points moved to where the images around them agree.

A detector places a point to half a working pixel at best; the patch of the image around
it is more exact. OpenCV's Lucas-Kanade aligns the patches, in the frame of the fixed
image, on images of equal mean and contrast.
"""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.warp import warp_photo
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.transforms import Transform

# In pixels of a 768-pixel working image.
_WINDOW_PX = 21  # side of a patch
_SPREAD_PX = 8.0  # of the Gaussian in which light and contrast are measured
_REACH_PX = 2.0  # a patch that moves further has lost its point
_RETURN_PX = 0.3  # there and back must end so near

_LEAST_WINDOW_PX = 7  # whatever the working size
_LEAST_CONTRAST = 0.01  # of images in 0..1; less is noise
_GREY, _GAIN = 128.0, 40.0  # of the 8-bit images that Lucas-Kanade reads
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005)


def normalize_contrast(
    image: np.ndarray, field: np.ndarray, *, unit: float
) -> np.ndarray:
    """Bring local mean and contrast of an image to the same value everywhere.

    Args:
        image: `[H, W]` float32 in 0..1.
        field: `[H, W]` bool; pixels outside have no weight.
        unit: working size / 768.

    Returns:
        `[H, W]` uint8, 128 in the mean.
    """
    inside = field.astype(np.float32)

    def blur(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (0, 0), _SPREAD_PX * unit)

    weight = blur(inside) + 1e-6
    detail = (image - blur(image * inside) / weight) * inside
    contrast = np.sqrt(blur(detail * detail) / weight) + _LEAST_CONTRAST
    return np.clip(_GREY + _GAIN * detail / contrast, 0, 255).astype(np.uint8)


class PatchRefiner:
    """Refines the matches of one pair by the images around them.

    Args:
        fixed: the fixed photograph.
        moving: the moving photograph.
    """

    def __init__(self, fixed: Photo, moving: Photo) -> None:
        self._fixed, self._moving = fixed, moving
        self._unit = fixed.unit
        self._normal = normalize_contrast(fixed.image, fixed.field, unit=self._unit)

    def _warped(self, transform: Transform) -> np.ndarray:
        """Return the moving image in the frame of the fixed one, of equal contrast.

        Vessels that are bright in one image alone (an angiogram) are turned dark.
        """
        image, field = warp_photo(self._fixed, self._moving, transform)
        normal = normalize_contrast(image, field, unit=self._unit)
        both = field & self._fixed.field
        here, there = (
            levels[both].astype(np.float32) - _GREY for levels in (normal, self._normal)
        )
        return 255 - normal if here @ there < 0 else normal

    def __call__(self, matches: Matches, transform: Transform) -> Matches:
        """Move the fixed points of matches to where their patches agree.

        Args:
            matches: in pixels of the files.
            transform: from the moving to the fixed file, exact to 2 working pixels.

        Returns:
            The same matches; a point stays where it was if its patch moves more than 2
            working pixels, or does not return to its start on the way back.

        Source: Lucas and Kanade, IJCAI 1981; there and back: Kalal et al., ICPR 2010.
        """
        if not len(matches):
            return matches
        warped = self._warped(transform)
        start = self._fixed.from_file(transform.apply(matches.points_moving))
        start = start.astype(np.float32)
        side = max(2 * round(_WINDOW_PX * self._unit / 2 - 0.5) + 1, _LEAST_WINDOW_PX)

        def follow(
            first: np.ndarray, second: np.ndarray, points: np.ndarray
        ) -> tuple[np.ndarray, np.ndarray]:
            found, status, _ = cv2.calcOpticalFlowPyrLK(
                first,
                second,
                points,
                points.copy(),
                winSize=(side, side),
                maxLevel=0,
                criteria=_CRITERIA,
                flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            )
            return found, status[:, 0] > 0

        found, ok = follow(warped, self._normal, start)
        back, also = follow(self._normal, warped, found)
        ok &= also
        ok &= np.linalg.norm(found - start, axis=1) < _REACH_PX * self._unit
        ok &= np.linalg.norm(back - start, axis=1) < _RETURN_PX * self._unit
        aligned = self._fixed.to_file(found.astype(np.float64))
        return dataclasses.replace(
            matches,
            points_fixed=np.where(ok[:, None], aligned, matches.points_fixed),
        )

"""Patch alignment: matched points moved to where the images around them agree.

A detector places a point to half a working pixel at best; a patch of the image around
it says more. OpenCV's Lucas-Kanade does the aligning, in the frame of the fixed image,
on images freed from light and contrast.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Transform

# In pixels of a 768-pixel working image.
_WINDOW_PX = 21  # side of a patch
_SPREAD_PX = 8.0  # of the Gaussian in which light and contrast are measured
_REACH_PX = 2.0  # a patch that moves further has lost its point
_RETURN_PX = 0.3  # there and back must end so near

_LEAST_WINDOW_PX = 7  # whatever the working size
_LEAST_CONTRAST = 0.01  # of images in 0..1; less is noise
_GREY, _GAIN = 128.0, 40.0  # of the 8-bit images that Lucas-Kanade reads
_GRID_STEP = 4  # pixels between the points that an inverse is solved at
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005)


@dataclasses.dataclass(frozen=True, eq=False)
class Photograph:
    """An image at the working size and where it shows the fundus.

    Attributes:
        prepared: `[S_h, S_w]` float32 in 0..1 and the way to file pixels.
        field: `[S_h, S_w]` bool.
    """

    prepared: Resized
    field: np.ndarray


def source_pixels(fixed: Resized, moving: Resized, transform: Transform) -> np.ndarray:
    """Return where each pixel of the fixed image lies in the moving one.

    Args:
        fixed: gives the frame, `[S_h, S_w]`.
        moving: where to look.
        transform: from the moving to the fixed file.

    Returns:
        `[S_h, S_w, 2]` float32 (x, y); far outside where that is undefined.
    """

    def inverse(xy: np.ndarray) -> np.ndarray:
        return moving.from_file(transform.apply_inverse(fixed.to_file(xy)))

    height, width = fixed.image.shape
    found = interpolate_inverse(inverse, height, width)
    far = -2.0 * max(moving.image.shape)
    found = np.nan_to_num(found, nan=far, posinf=far, neginf=far)
    return np.clip(found, far, -2 * far).astype(np.float32)


def interpolate_inverse(
    inverse: Callable[[np.ndarray], np.ndarray], height: int, width: int
) -> np.ndarray:
    """Evaluate a smooth map at every 4th pixel, and bilinearly between.

    Off by the map's second derivative times 2 px^2: under .01 px for a bend of tens of
    pixels. `transforms.inverse_map`, which draws pictures, rounds in another way: here
    it would change matches, and with them published results, in their last digits.

    Args:
        inverse: of points `[..., 2]`.
        height: rows.
        width: columns.

    Returns:
        The map at the pixels, `[height, width, 2]`.
    """
    rows, columns = (
        np.arange(0, side + _GRID_STEP, _GRID_STEP) for side in (height, width)
    )
    coarse = inverse(np.stack(np.meshgrid(columns, rows), axis=-1))
    coarse = _interpolate(coarse, height)
    return _interpolate(coarse.swapaxes(0, 1), width).swapaxes(0, 1)


def _interpolate(coarse: np.ndarray, count: int) -> np.ndarray:
    """Refine the first axis of `[n, m, 2]` to `count` steps of one pixel."""
    position = np.arange(count) / _GRID_STEP
    index = position.astype(int)
    fraction = (position - index)[:, None, None]
    return coarse[index] * (1.0 - fraction) + coarse[index + 1] * fraction


def warp_photo(
    fixed: Photograph, moving: Photograph, transform: Transform
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the moving photograph in the frame of the fixed one.

    Args:
        fixed: gives the frame, `[S_h, S_w]`.
        moving: what is drawn.
        transform: from the moving to the fixed file.

    Returns:
        The image (cubic: it may pass 0..1 a little) and its field, `[S_h, S_w]`.
    """
    maps = source_pixels(fixed.prepared, moving.prepared, transform)

    def draw(image: np.ndarray, interpolation: int) -> np.ndarray:
        return cv2.remap(image, maps[..., 0], maps[..., 1], interpolation)

    field = draw(moving.field.astype(np.uint8), cv2.INTER_NEAREST) > 0
    return draw(moving.prepared.image, cv2.INTER_CUBIC), field


def normalize_contrast(
    image: np.ndarray, field: np.ndarray, *, unit: float
) -> np.ndarray:
    """Take local mean and contrast out of an image.

    Args:
        image: `[H, W]` float32 in 0..1.
        field: `[H, W]` bool; what lies outside counts for nothing.
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
    """Aligns the matches of one pair by the images around them.

    Args:
        fixed: the fixed photograph.
        moving: the moving photograph.
    """

    def __init__(self, fixed: Photograph, moving: Photograph) -> None:
        self._fixed, self._moving = fixed, moving
        self._unit = max(fixed.prepared.image.shape) / 768.0
        self._flat = normalize_contrast(
            fixed.prepared.image, fixed.field, unit=self._unit
        )

    def _drawn(self, transform: Transform) -> np.ndarray:
        """Return the moving image in the frame of the fixed one, without light.

        Vessels that are bright in one image alone (an angiogram) are turned dark.
        """
        image, field = warp_photo(self._fixed, self._moving, transform)
        flat = normalize_contrast(image, field, unit=self._unit)
        both = field & self._fixed.field
        here, there = (x[both].astype(np.float32) - _GREY for x in (flat, self._flat))
        return 255 - flat if here @ there < 0 else flat

    def __call__(self, matches: Matches, transform: Transform) -> Matches:
        """Move the fixed points of matches to where their patches agree.

        Args:
            matches: in pixels of the files.
            transform: from the moving to the fixed file, right to 2 working pixels.

        Returns:
            The same matches; a point whose patch moves more than 2 working pixels, or
            does not find back, stays where it was.

        Source: Lucas and Kanade, IJCAI 1981; there and back: Kalal et al., ICPR 2010.
        """
        if not len(matches):
            return matches
        prepared, drawn = self._fixed.prepared, self._drawn(transform)
        start = prepared.from_file(transform.apply(matches.points_moving))
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

        found, ok = follow(drawn, self._flat, start)
        back, also = follow(self._flat, drawn, found)
        ok &= also
        ok &= np.linalg.norm(found - start, axis=1) < _REACH_PX * self._unit
        ok &= np.linalg.norm(back - start, axis=1) < _RETURN_PX * self._unit
        aligned = prepared.to_file(found.astype(np.float64))
        return dataclasses.replace(
            matches,
            points_fixed=np.where(ok[:, None], aligned, matches.points_fixed),
        )

"""The moving photograph drawn in the frame of the fixed one, at the working size."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from rkd_jax.registration.photo import Photo
from rkd_jax.registration.transforms import Transform

_GRID_STEP = 4  # pixels between the points at which an inverse is solved


def source_pixels(fixed: Photo, moving: Photo, transform: Transform) -> np.ndarray:
    """Return where each pixel of the fixed image lies in the moving one.

    Args:
        fixed: gives the frame, `[S_h, S_w]`.
        moving: where the pixels lie.
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

    Off by the map's second derivative times 2 px^2: under .01 px for a distortion of
    tens of pixels. `transforms.inverse_map`, which draws pictures, rounds in another
    way; with it matches, and with them published results, would change in their last
    digits.

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
    fixed: Photo, moving: Photo, transform: Transform
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the moving photograph in the frame of the fixed one, at the working size.

    Args:
        fixed: gives the frame, `[S, S]`.
        moving: the photograph to draw.
        transform: from the moving to the fixed file.

    Returns:
        The image (cubic: values may pass 0..1 a little) and its field, `[S, S]`.
    """
    maps = source_pixels(fixed, moving, transform)

    def draw(image: np.ndarray, interpolation: int) -> np.ndarray:
        return cv2.remap(image, maps[..., 0], maps[..., 1], interpolation)

    field = draw(moving.field.astype(np.uint8), cv2.INTER_NEAREST) > 0
    return draw(moving.image, cv2.INTER_CUBIC), field

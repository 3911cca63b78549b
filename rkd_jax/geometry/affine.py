"""Affine draws as upstream makes them.

Same conventions as `rkd_jax.geometry.homography`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.geometry.homography import (
    Size,
    about_center,
    as_matrix,
    inverse,
    side_lengths,
)

Array = jax.Array


class AffinePreset(NamedTuple):
    """Ranges of upstream's affine draw.

    Attributes:
        rotation_deg: the angle is drawn from +- this, in degrees.
        shift_frac: the shift is drawn from +- this fraction of the side.
        scale: range `(low, high)` of the scale.
    """

    rotation_deg: float
    shift_frac: float
    scale: tuple[float, float]


AFFINE_PRESETS = {
    "detector": AffinePreset(15.0, 0.2, (0.9, 1.35)),
    "descriptor": AffinePreset(3.0, 0.1, (0.9, 1.1)),
}


class AffineDraw(NamedTuple):
    """One affine draw: angle in degrees, shift `[2]` (x, y) in px, and scale."""

    angle_deg: Array
    shift_px: Array
    scale: Array


def draw_affine(key: Array, size: Size, preset: str | AffinePreset) -> AffineDraw:
    """Draw upstream's affine parameters (torchvision's `RandomAffine` rule).

    The shift is rounded to whole px and, as upstream passes (height, width)
    where (width, height) is meant, its x range follows the height.

    Args:
        key: PRNG key.
        size: (height, width) in px.
        preset: name in `AFFINE_PRESETS`, or ranges of one's own.

    Returns:
        The draw.

    Raises:
        ValueError: unknown preset name.
    """
    if isinstance(preset, str):
        if preset not in AFFINE_PRESETS:
            raise ValueError(
                f"unknown affine preset {preset!r}; known: {sorted(AFFINE_PRESETS)}"
            )
        preset = AFFINE_PRESETS[preset]
    keys = jax.random.split(key, 3)
    limit = preset.rotation_deg
    angle = jax.random.uniform(keys[0], (), jnp.float32, -limit, limit)
    reach = preset.shift_frac * jnp.stack(side_lengths(size))
    shift = jnp.round(reach * jax.random.uniform(keys[1], (2,), jnp.float32, -1.0, 1.0))
    low, high = preset.scale
    return AffineDraw(
        angle, shift, jax.random.uniform(keys[2], (), jnp.float32, low, high)
    )


def affine_matrix(draw: AffineDraw, size: Size, *, halve_shift: bool = True) -> Array:
    """Turn a draw into upstream's affine map, in pixel coordinates.

    Upstream builds, in coordinates normalized to [-1, 1] between the corner pixel
    centers and with alpha = -angle,
    `theta = [[cos(alpha)/s, -sin(alpha), -tx/H], [sin(alpha), cos(alpha)/s, -ty/W]]`
    from the warped to the raw image. The scale divides the cosines only, and an
    offset of tx/H moves by about tx/2 px.

    Args:
        draw: parameters, see `draw_affine`.
        size: (height, width) in px.
        halve_shift: True for upstream's halved shift, False to shift by as many px
            as drawn.

    Returns:
        `h_raw_to_warped`, `[3, 3]` float32.

    Source: docs/paper/specification.md §4; affine draws of SuperRetina's, RKD's code.
    """
    height, width = side_lengths(size)
    alpha = -draw.angle_deg * (np.pi / 180.0)
    cos, sin = jnp.cos(alpha) / draw.scale, jnp.sin(alpha)
    if halve_shift:
        tx, ty = draw.shift_px[0] / height, draw.shift_px[1] / width
    else:
        tx = 2.0 * draw.shift_px[0] / (width - 1.0)
        ty = 2.0 * draw.shift_px[1] / (height - 1.0)
    ax, ay = 0.5 * (width - 1.0), 0.5 * (height - 1.0)
    warped_to_raw = as_matrix(
        [
            [cos, -sin * ax / ay, -tx * ax],
            [sin * ay / ax, cos, -ty * ay],
            [0.0, 0.0, 1.0],
        ]
    )
    return about_center(inverse(warped_to_raw), height, width)


def upstream_affine(
    key: Array,
    size: Size,
    *,
    preset: str | AffinePreset = "detector",
    halve_shift: bool = True,
) -> Array:
    """Draw upstream's affine map; see `draw_affine` and `affine_matrix`.

    Args:
        key: PRNG key.
        size: (height, width) in px.
        preset: "detector", "descriptor" or ranges of one's own.
        halve_shift: True for upstream's halved shift.

    Returns:
        `h_raw_to_warped`, `[3, 3]` float32.

    Example:
        >>> import jax
        >>> upstream_affine(jax.random.key(0), (64, 64), preset="descriptor").shape
        (3, 3)
    """
    return affine_matrix(draw_affine(key, size, preset), size, halve_shift=halve_shift)

"""Plane transforms of pixel coordinates: draw, compose, invert, apply.

A homography is a `[3, 3]` float32 matrix acting on the pixel `(x, y, 1)`, with
pixel centers at whole numbers and the origin at the center of the top-left
pixel. Every function treats one matrix; callers `jax.vmap`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

Array = jax.Array
Size = Sequence[ArrayLike] | Array
"""(height, width) in px: numbers or traced scalars."""

_TINY = 1e-12


def as_matrix(rows: Sequence[Sequence[ArrayLike]]) -> Array:
    """Stack nine scalars (nested 3x3) into a float32 matrix."""
    entries = [jnp.asarray(v, jnp.float32) for row in rows for v in row]
    return jnp.stack(entries).reshape(3, 3)


def _matmul(*factors: Array) -> Array:
    """Multiply 3x3 matrices left to right in full float32 on every device."""
    result = factors[0]
    for factor in factors[1:]:
        result = jnp.matmul(result, factor, precision=jax.lax.Precision.HIGHEST)
    return result


def _unit_corner(h: Array) -> Array:
    """Scale so that the last entry is 1 (the norm, where that entry vanishes)."""
    corner = h[2, 2]
    norm = jnp.sqrt(jnp.sum(h * h))
    usable = jnp.abs(corner) > 1e-8 * norm
    return h / jnp.where(usable, corner, jnp.maximum(norm, _TINY))


def apply_homography(h: Array, xy: Array) -> Array:
    """Map points through a homography.

    Args:
        h: `[3, 3]` matrix; any non-zero multiple of it gives the same points.
        xy: `[..., 2]` points (x, y) in px.

    Returns:
        `[..., 2]` float32 points; finite even on the horizon of `h`.

    Example:
        >>> import jax.numpy as jnp
        >>> apply_homography(translation(3.0, -1.0), jnp.zeros((1, 2))).tolist()
        [[3.0, -1.0]]
    """
    h = jnp.asarray(h, jnp.float32)
    xy = jnp.asarray(xy, jnp.float32)
    x, y = xy[..., 0], xy[..., 1]
    u = h[0, 0] * x + h[0, 1] * y + h[0, 2]
    v = h[1, 0] * x + h[1, 1] * y + h[1, 2]
    w = h[2, 0] * x + h[2, 1] * y + h[2, 2]
    w = jnp.where(jnp.abs(w) < _TINY, _TINY, w)
    return jnp.stack([u / w, v / w], axis=-1)


def inverse(h: Array) -> Array:
    """Invert a homography by its adjugate, which needs no pivoting.

    Args:
        h: `[3, 3]` matrix with a non-zero determinant.

    Returns:
        `[3, 3]` float32 inverse up to scale, last entry 1 where that is possible.

    Example:
        >>> inverse(translation(3.0, -1.0))[:2, 2].tolist()
        [-3.0, 1.0]
    """
    (a, b, c), (d, e, f), (g, i, j) = jnp.asarray(h, jnp.float32)
    return _unit_corner(
        as_matrix(
            [
                [e * j - f * i, c * i - b * j, b * f - c * e],
                [f * g - d * j, a * j - c * g, c * d - a * f],
                [d * i - e * g, b * g - a * i, a * e - b * d],
            ]
        )
    )


def compose(a: Array, b: Array) -> Array:
    """Return the map "first `b`, then `a`", as `[3, 3]` float32, last entry 1.

    Example:
        >>> double = jnp.diag(jnp.array([2.0, 2.0, 1.0]))
        >>> compose(translation(1.0, 0.0), double)[0].tolist()
        [2.0, 0.0, 1.0]
    """
    return _unit_corner(
        _matmul(jnp.asarray(a, jnp.float32), jnp.asarray(b, jnp.float32))
    )


def translation(dx: float | Array, dy: float | Array) -> Array:
    """Return the `[3, 3]` shift by (dx, dy) px.

    Example:
        >>> translation(3.0, -1.0)[:2, 2].tolist()
        [3.0, -1.0]
    """
    return as_matrix([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def side_lengths(size: Size) -> tuple[Array, Array]:
    """Return (height, width) as float32 scalars; numbers or traced values."""
    height, width = size
    return jnp.asarray(height, jnp.float32), jnp.asarray(width, jnp.float32)


def random_homography(
    key: Array,
    size: Size,
    *,
    rotation_deg: float,
    scale: tuple[float, float],
    shift_frac: float,
    perspective: float = 0.0,
) -> Array:
    """Draw a homography about the image center that can never degenerate.

    A point (X, Y) relative to the center is divided by
    `1 + 2 (p X + q Y) / max(H, W)`, then turned, scaled and shifted. The divisor
    stays positive on the whole raw image and its inverse on the whole warped
    one, so corners stay convex, the determinant positive and the map bounded.

    Args:
        key: PRNG key.
        size: (height, width) in px, of the raw and the warped image.
        rotation_deg: the angle is uniform in +- this.
        scale: (low, high), drawn log-uniformly; more than 1 enlarges.
        shift_frac: the shift is uniform in +- this fraction of each side.
        perspective: p and q are uniform in +- this: the change of scale from the
            center to the edge of the longer side.

    Returns:
        `h_raw_to_warped`, `[3, 3]` float32.

    Raises:
        ValueError: ranges under which a draw could fold the image over.

    Example:
        >>> import jax
        >>> h = random_homography(jax.random.key(0), (64, 64), rotation_deg=30.0,
        ...                       scale=(0.8, 1.2), shift_frac=0.1, perspective=0.05)
        >>> h.shape
        (3, 3)
    """
    low, high = scale
    if not 0 < low <= high:
        raise ValueError(f"scale is {scale}; expected 0 < low <= high")
    reach = max(1.0, (1.0 + 2.0 * abs(shift_frac)) / low)
    if 2.0 * abs(perspective) * reach >= 1.0:
        raise ValueError(
            f"perspective {perspective} can fold the image over; with scale {scale} "
            f"and shift_frac {shift_frac} it must stay below {0.5 / reach:.3f}"
        )
    keys = jax.random.split(key, 4)
    height, width = side_lengths(size)
    limit = rotation_deg * np.pi / 180.0
    angle = jax.random.uniform(keys[0], (), jnp.float32, -limit, limit)
    log_scale = jax.random.uniform(
        keys[1], (), jnp.float32, float(np.log(low)), float(np.log(high))
    )
    shift = jax.random.uniform(keys[2], (2,), jnp.float32, -shift_frac, shift_frac)
    p, q = jax.random.uniform(keys[3], (2,), jnp.float32, -perspective, perspective)
    half = 0.5 * jnp.maximum(height, width)
    tilt = as_matrix([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [p / half, q / half, 1.0]])
    turn = similarity(angle, jnp.exp(log_scale), shift[0] * width, shift[1] * height)
    return about_center(_matmul(turn, tilt), height, width)


def similarity(angle: Array, scale: Array, dx: Array, dy: Array) -> Array:
    """Return the matrix that turns by `angle` (rad), scales, then shifts."""
    cos, sin = scale * jnp.cos(angle), scale * jnp.sin(angle)
    return as_matrix([[cos, -sin, dx], [sin, cos, dy], [0.0, 0.0, 1.0]])


def about_center(h: Array, height: Array, width: Array) -> Array:
    """Express a map of center-relative coordinates in pixel coordinates."""
    cx, cy = 0.5 * (width - 1.0), 0.5 * (height - 1.0)
    return _unit_corner(_matmul(translation(cx, cy), h, translation(-cx, -cy)))

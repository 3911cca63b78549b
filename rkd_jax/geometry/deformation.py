"""Warps that bend: a curved retina behind a homography, and a smooth elastic part.

Points go forward by a closed form. Images need the inverse; that of the elastic part
is iterated to rounding. Every function treats one warp; callers `jax.vmap`.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rkd_jax.geometry import radial
from rkd_jax.geometry.homography import apply_homography, inverse

Array = jax.Array

_FIXED_POINT_ROUNDS = 12
# Bound of the elastic part's slope; each round of the inverse gains a factor of this.
MAX_SLOPE = 0.25


@flax.struct.dataclass
class Deformation:
    """A map of raw pixels to warped pixels: radial, homography, radial, elastic.

    With B the radial bend about the camera's centre, `B(p) = c + (p - c)(1 + k r^2)`,
    r the distance from c in units of `unit_px`, a point goes to `q + E(q)` where
    `q = B^-1(h B(p))` and `E(q) = sum_j amplitude_j sin(frequency_j . q + phase_j)`.

    Attributes:
        h: `[3, 3]`, between bent points.
        lens: (center, unit_px, k) of B: the camera's axis `[2]` (x, y) in px of both
            images, half the image's width in px, and the strength, at least 0. None
            for a flat retina.
        amplitude: `[J, 2]` px of the elastic waves.
        frequency: `[J, 2]` rad per px.
        phase: `[J]` rad.

    Source: ours. The radial polynomial stands for a curved retina seen through one
    camera, for which a homography alone is off by several pixels.
    """

    h: Array
    lens: tuple[Array, Array, Array] | None
    amplitude: Array
    frequency: Array
    phase: Array


def _between_photographs(
    h: Array, lens: tuple[Array, Array, Array] | None, xy: Array
) -> Array:
    """Map points by a homography between bent points, or by it alone."""
    if lens is None:
        return apply_homography(h, xy)
    center, unit_px, k = lens
    center = jnp.broadcast_to(center, xy.shape)
    bent = center + unit_px * radial.bend((xy - center) / unit_px, k)
    seen = (apply_homography(h, bent) - center) / unit_px
    return center + unit_px * radial.unbend(seen, k)


def _elastic(warp: Deformation, xy: Array) -> Array:
    """Return the elastic displacement at points `[..., 2]`."""
    x, y = xy[..., 0], xy[..., 1]
    dx, dy = jnp.zeros_like(x), jnp.zeros_like(y)
    for amplitude, frequency, phase in zip(
        warp.amplitude, warp.frequency, warp.phase, strict=True
    ):
        wave = jnp.sin(x * frequency[0] + y * frequency[1] + phase)
        dx, dy = dx + amplitude[0] * wave, dy + amplitude[1] * wave
    return jnp.stack([dx, dy], axis=-1)


def deform(warp: Deformation, xy: Array) -> Array:
    """Map raw points `[..., 2]` (x, y) to the warped image, float32.

    Example:
        >>> from rkd_jax.geometry.deformation import flat
        >>> from rkd_jax.geometry.homography import translation
        >>> deform(flat(translation(3.0, 0.0)), jnp.zeros((1, 2))).tolist()
        [[3.0, 0.0]]
    """
    xy = _between_photographs(warp.h, warp.lens, xy)
    return xy + _elastic(warp, xy)


def undeform(warp: Deformation, xy: Array) -> Array:
    """Map warped points `[..., 2]` back to the raw image; inverse of `deform`."""

    def step(_: int, q: Array) -> Array:
        return xy - _elastic(warp, q)

    if warp.phase.shape[0]:
        xy = jax.lax.fori_loop(0, _FIXED_POINT_ROUNDS, step, xy)
    return _between_photographs(inverse(warp.h), warp.lens, xy)


def flat(h: Array) -> Deformation:
    """Return the `Deformation` that is the homography `h [3, 3]` alone."""
    none = jnp.zeros((0, 2), jnp.float32)
    return Deformation(
        h=jnp.asarray(h, jnp.float32),
        lens=None,
        amplitude=none,
        frequency=none,
        phase=none[:, 0],
    )


def random_deformation(
    key: Array,
    h: Array,
    *,
    center: Array,
    unit_px: Array,
    k: tuple[float, float],
    elastic: float,
    wavelength: tuple[float, float],
    waves: int = 6,
) -> Deformation:
    """Bend a homography as two photographs of one eye are bent.

    Args:
        key: PRNG key.
        h: `[3, 3]` raw px to warped px.
        center: `[2]` (x, y) of the camera's axis in px of the raw image.
        unit_px: half the width of the photograph, px.
        k: range of the radial strength.
        elastic: the elastic part has at most this standard deviation, in `unit_px`;
            less where its slope would pass `MAX_SLOPE`.
        wavelength: range of the waves' lengths, in `unit_px`.
        waves: how many.

    Returns:
        A `Deformation` that can never fold: slopes of its elastic part stay below
        `MAX_SLOPE`.

    Raises:
        ValueError: a negative k or a wavelength that is not positive.
    """
    if not 0 <= k[0] <= k[1]:
        raise ValueError(f"k is {k}; expected 0 <= low <= high")
    if not 0 < wavelength[0] <= wavelength[1]:
        raise ValueError(f"wavelength is {wavelength}; expected 0 < low <= high")
    unit_px = jnp.asarray(unit_px, jnp.float32)
    k_k, k_length, k_angle, k_turn, k_phase, k_size = jax.random.split(key, 6)
    length = jax.random.uniform(k_length, (waves,), jnp.float32, *wavelength)
    angle, phase = (
        jax.random.uniform(key, (waves,), jnp.float32, 0.0, 2.0 * jnp.pi)
        for key in (k_angle, k_phase)
    )
    number = 2.0 * jnp.pi / (length * unit_px)
    frequency = jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1) * number[:, None]
    direction = jax.random.uniform(k_turn, (waves,), jnp.float32, 0.0, 2.0 * jnp.pi)
    size = jax.random.uniform(k_size, (), jnp.float32) * elastic * unit_px
    # Each wave has a mean square of one half.
    amplitude = size * jnp.sqrt(2.0 / waves)
    steepest = jnp.sum(amplitude * number)
    amplitude = amplitude * jnp.minimum(1.0, MAX_SLOPE / jnp.maximum(steepest, 1e-9))
    return Deformation(
        h=h,
        lens=(
            jnp.asarray(center, jnp.float32),
            unit_px,
            jax.random.uniform(k_k, (), jnp.float32, *k),
        ),
        amplitude=jnp.stack([jnp.cos(direction), jnp.sin(direction)], -1) * amplitude,
        frequency=frequency,
        phase=phase,
    )

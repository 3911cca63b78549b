"""Light of another visit: exposure, uneven light, focus, noise and lesions change."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rkd_jax.augment.pixels import as_plane, gaussian_blur, uniform

Array = jax.Array


class VisitRanges(NamedTuple):
    """How far `visit_light` goes; all zero changes nothing.

    Attributes:
        log_gamma: gamma is e^u, u uniform in +- this.
        log_gain: the gain is e^u, u uniform in +- this.
        offset: added, uniform in +- this.
        gain_field: standard deviation of the smooth multiplicative field's logarithm.
        offset_field: standard deviation of the smooth additive field.
        max_blur_px: sigma of the blur, uniform up to this.
        max_noise: standard deviation of the white noise, uniform up to this.
        lesions: most discs drawn; half of them on average.
        lesion_radius_frac: range of their radius, as a fraction of the shorter side.
        lesion_depth: each disc adds a value uniform in +- this.
        field_cells: a smooth field has this many random knots a side.
    """

    log_gamma: float = 0.5
    log_gain: float = 0.2
    offset: float = 0.1
    gain_field: float = 0.2
    offset_field: float = 0.06
    max_blur_px: float = 2.2
    max_noise: float = 0.03
    lesions: int = 4
    lesion_radius_frac: tuple[float, float] = (0.01, 0.05)
    lesion_depth: float = 0.3
    field_cells: int = 4


DEFAULT_RANGES = VisitRanges()


FACE_RANGES = VisitRanges(
    log_gamma=0.4,
    max_blur_px=1.0,
    lesions=2,
    lesion_radius_frac=(0.05, 0.18),
    lesion_depth=0.5,
)
"""For crops of faces: mild blur, and discs that hide parts."""


class VisitDraw(NamedTuple):
    """Factors of `apply_visit`.

    Attributes:
        gamma: scalar exponent.
        gain: scalar.
        offset: scalar.
        gain_field: `[G, G]` logarithm of the multiplicative field at its knots.
        offset_field: `[G, G]` additive field at its knots.
        sigma_px: scalar, blur.
        noise: `[H, W]`, added last.
        lesions: `[L, 4]` rows of (x, y, radius) in px and added value.
    """

    gamma: Array
    gain: Array
    offset: Array
    gain_field: Array
    offset_field: Array
    sigma_px: Array
    noise: Array
    lesions: Array


def draw_visit(
    key: Array, size: tuple[int, int], ranges: VisitRanges = DEFAULT_RANGES
) -> VisitDraw:
    """Draw the light of another visit for an image of `size` (height, width)."""
    height, width = size
    keys = jax.random.split(key, 12)
    knots = (ranges.field_cells, ranges.field_cells)
    few = (ranges.lesions,)
    radius = uniform(keys[7], *ranges.lesion_radius_frac, few) * min(height, width)
    depth = uniform(keys[8], -ranges.lesion_depth, ranges.lesion_depth, few)
    depth = jnp.where(jax.random.bernoulli(keys[9], 0.5, few), depth, 0.0)
    x = uniform(keys[10], 0.0, width - 1.0, few)
    y = uniform(keys[11], 0.0, height - 1.0, few)
    noise_level, noise = jax.random.split(keys[6])
    return VisitDraw(
        gamma=jnp.exp(uniform(keys[0], -ranges.log_gamma, ranges.log_gamma)),
        gain=jnp.exp(uniform(keys[1], -ranges.log_gain, ranges.log_gain)),
        offset=uniform(keys[2], -ranges.offset, ranges.offset),
        gain_field=ranges.gain_field * jax.random.normal(keys[3], knots, jnp.float32),
        offset_field=ranges.offset_field
        * jax.random.normal(keys[4], knots, jnp.float32),
        sigma_px=uniform(keys[5], 0.0, ranges.max_blur_px),
        noise=uniform(noise_level, 0.0, ranges.max_noise)
        * jax.random.normal(noise, (height, width), jnp.float32),
        lesions=jnp.stack([x, y, radius, depth], axis=-1),
    )


def _discs(lesions: Array, size: tuple[int, int]) -> Array:
    """Sum the discs, `[H, W]`; each edge falls to 0 over its outer third."""
    rows = jnp.arange(size[0], dtype=jnp.float32)[:, None]
    columns = jnp.arange(size[1], dtype=jnp.float32)[None, :]
    total = jnp.zeros(size, jnp.float32)
    for x, y, radius, depth in lesions:
        distance = jnp.sqrt((columns - x) ** 2 + (rows - y) ** 2)
        edge = jnp.clip(3.0 * (1.0 - distance / jnp.maximum(radius, 1e-3)), 0.0, 1.0)
        total = total + depth * edge
    return total


def apply_visit(image: Array, draw: VisitDraw, *, max_blur_px: float = 2.2) -> Array:
    """Apply a `VisitDraw`: gamma, gain, offset, fields, discs, blur, noise, clipping.

    Args:
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        draw: see `draw_visit`.
        max_blur_px: upper bound of `draw.sigma_px`.

    Returns:
        float32 in [0, 1] of the shape of `image`.
    """
    plane = jnp.clip(as_plane(image), 0.0, 1.0)
    size = plane.shape
    gain = draw.gain * jnp.exp(jax.image.resize(draw.gain_field, size, "cubic"))
    offset = draw.offset + jax.image.resize(draw.offset_field, size, "cubic")
    plane = plane**draw.gamma * gain + offset + _discs(draw.lesions, size)
    plane = gaussian_blur(plane, draw.sigma_px, max_sigma_px=max_blur_px)
    return jnp.clip(plane + draw.noise, 0.0, 1.0).reshape(image.shape)


def visit_light(
    key: Array, image: Array, *, ranges: VisitRanges = DEFAULT_RANGES
) -> Array:
    """Change the light as between two visits of one eye (hard).

    Args:
        key: PRNG key.
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        ranges: how far to go.

    Returns:
        float32 in [0, 1] of the shape of `image`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> visit_light(jax.random.key(0), jnp.full((32, 32, 1), 0.5)).shape
        (32, 32, 1)

    Source: ours; the ranges of gamma and blur are those that trained well on pairs made
    from single photographs.
    """
    draw = draw_visit(key, as_plane(image).shape, ranges)
    return apply_visit(image, draw, max_blur_px=ranges.max_blur_px)

"""Light of another modality or of a clouded lens: bright vessels, and haze."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rkd_jax.augment.pixels import as_plane, uniform

Array = jax.Array


class ModalityRanges(NamedTuple):
    """How often and how far `modality_light` goes.

    Attributes:
        inversion: probability that dark and bright change places.
        local: share of these that turn local contrast only, and keep the large-scale
            brightness (red-free against the late phase of an angiogram).
        cells: a side of the image has this many cells of what counts as large scale.
        contrast: range of the factor on inverted contrast.
        haze: probability of a veil.
        max_veil: the veil hides up to this share of the contrast.
        veil_light: range of the veil's brightness.
    """

    inversion: float = 0.3
    local: float = 0.5
    cells: int = 8
    contrast: tuple[float, float] = (0.7, 1.4)
    haze: float = 0.2
    max_veil: float = 0.6
    veil_light: tuple[float, float] = (0.4, 0.8)


DEFAULT_RANGES = ModalityRanges()


class ModalityDraw(NamedTuple):
    """Factors of `apply_modality`: two switches, and scalars in 0..1 or near 1."""

    inverted: Array
    local: Array
    contrast: Array
    veil: Array
    veil_light: Array


def draw_modality(key: Array, ranges: ModalityRanges = DEFAULT_RANGES) -> ModalityDraw:
    """Draw the factors of `modality_light`."""
    keys = jax.random.split(key, 6)
    veil = uniform(keys[3], 0.0, ranges.max_veil)
    return ModalityDraw(
        inverted=jax.random.bernoulli(keys[0], ranges.inversion),
        local=jax.random.bernoulli(keys[1], ranges.local),
        contrast=uniform(keys[2], *ranges.contrast),
        veil=jnp.where(jax.random.bernoulli(keys[4], ranges.haze), veil, 0.0),
        veil_light=uniform(keys[5], *ranges.veil_light),
    )


def large_scale(plane: Array, cells: int) -> Array:
    """Return the smooth brightness of `[H, W]`: means of cells, read cubically."""
    few = jax.image.resize(plane, (cells, cells), "linear", antialias=True)
    return jax.image.resize(few, plane.shape, "cubic")


def apply_modality(image: Array, draw: ModalityDraw, *, cells: int = 8) -> Array:
    """Apply a `ModalityDraw`: invert about the large-scale brightness or 0.5, veil.

    Black beyond the camera's field stays black.

    Args:
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        draw: see `draw_modality`.
        cells: see `ModalityRanges`.

    Returns:
        float32 in [0, 1] of the shape of `image`.
    """
    plane = jnp.clip(as_plane(image), 0.0, 1.0)
    pivot = jnp.where(draw.local, large_scale(plane, cells), 0.5)
    turned = pivot + draw.contrast * (pivot - plane)
    seen = jnp.where(draw.inverted, turned, plane)
    seen = seen + draw.veil * (draw.veil_light - seen)
    # Black beyond the field of view is no tissue, whatever the modality.
    tissue = jnp.clip(plane / 0.04, 0.0, 1.0)
    return jnp.clip(seen * tissue, 0.0, 1.0).reshape(image.shape)


def modality_light(
    key: Array, image: Array, *, ranges: ModalityRanges = DEFAULT_RANGES
) -> Array:
    """Show an image as another modality might, or through a cataract.

    In an angiogram vessels are bright. Given to one image of a pair, this makes a
    network find the same points whatever the sign of their contrast.

    Args:
        key: PRNG key.
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        ranges: how often and how far.

    Returns:
        float32 in [0, 1] of the shape of `image`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> modality_light(jax.random.key(0), jnp.full((32, 32, 1), 0.5)).shape
        (32, 32, 1)

    Source: ours.
    """
    return apply_modality(image, draw_modality(key, ranges), cells=ranges.cells)

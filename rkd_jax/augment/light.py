"""The light changes of the published recipe."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from rkd_jax.augment.pixels import as_plane, gaussian_blur, uniform

Array = jax.Array


class LoaderDraw(NamedTuple):
    """Factors of `apply_loader`: two gains and a blur in px (0 for none)."""

    multiply: Array
    contrast: Array
    sigma_px: Array


def draw_loader(
    key: Array,
    *,
    multiply: tuple[float, float] = (1.0, 1.2),
    blur_probability: float = 0.2,
    max_blur_px: float = 6.0,
    contrast_probability: float = 0.2,
    contrast: tuple[float, float] = (0.75, 1.2),
) -> LoaderDraw:
    """Draw the factors of `loader_light`, which documents the arguments."""
    keys = jax.random.split(key, 5)
    blurred = jax.random.bernoulli(keys[1], blur_probability)
    contrasted = jax.random.bernoulli(keys[3], contrast_probability)
    return LoaderDraw(
        multiply=uniform(keys[0], *multiply),
        contrast=jnp.where(contrasted, uniform(keys[4], *contrast), 1.0),
        sigma_px=jnp.where(blurred, uniform(keys[2], 0.0, max_blur_px), 0.0),
    )


def apply_loader(
    image: Array, draw: LoaderDraw, *, max_blur_px: float = 6.0, clip: bool = True
) -> Array:
    """Apply a `LoaderDraw`; blur and gains commute, so their order is not drawn."""
    plane = gaussian_blur(as_plane(image), draw.sigma_px, max_sigma_px=max_blur_px)
    plane = plane * (draw.multiply * draw.contrast)
    if clip:
        plane = jnp.clip(plane, 0.0, 1.0)
    return plane.reshape(image.shape)


def loader_light(
    key: Array,
    image: Array,
    *,
    clip: bool = True,
    multiply: tuple[float, float] = (1.0, 1.2),
    blur_probability: float = 0.2,
    max_blur_px: float = 6.0,
    contrast_probability: float = 0.2,
    contrast: tuple[float, float] = (0.75, 1.2),
) -> Array:
    """Change the light as upstream's loader does: gain, now and then blur.

    Args:
        key: PRNG key.
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        clip: clip into [0, 1]; upstream does not (False).
        multiply: range of the gain.
        blur_probability: how often to blur.
        max_blur_px: the blur's sigma is uniform up to this. Upstream blurs at full
            resolution, we at the working one.
        contrast_probability: how often to change the contrast.
        contrast: range of the second gain: upstream's contrast pivots about 0 for
            float images, so it is one.

    Returns:
        float32 of the shape of `image`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> image = jnp.full((32, 32), 0.5)
        >>> float(loader_light(jax.random.key(0), image).min()) >= 0.37
        True

    Source: docs/paper/specification.md §4 (imgaug in RKD's loader), quirk 7.
    """
    draw = draw_loader(
        key,
        multiply=multiply,
        blur_probability=blur_probability,
        max_blur_px=max_blur_px,
        contrast_probability=contrast_probability,
        contrast=contrast,
    )
    return apply_loader(image, draw, max_blur_px=max_blur_px, clip=clip)


class JitterDraw(NamedTuple):
    """Factors of `apply_jitter`, and which of the two comes first."""

    brightness: Array
    contrast: Array
    contrast_first: Array


def draw_jitter(
    key: Array,
    *,
    probability: float = 0.6,
    brightness: float = 0.4,
    contrast: float = 0.3,
) -> JitterDraw:
    """Draw the factors of `jitter_light`, which documents the arguments."""
    keys = jax.random.split(key, 4)
    applied = jax.random.bernoulli(keys[0], probability)
    bright = uniform(keys[1], max(0.0, 1.0 - brightness), 1.0 + brightness)
    contrasted = uniform(keys[2], max(0.0, 1.0 - contrast), 1.0 + contrast)
    return JitterDraw(
        brightness=jnp.where(applied, bright, 1.0),
        contrast=jnp.where(applied, contrasted, 1.0),
        contrast_first=jax.random.bernoulli(keys[3]),
    )


def apply_jitter(image: Array, draw: JitterDraw, *, clip: bool = True) -> Array:
    """Apply a `JitterDraw`: gain, and contrast about the mean, clipped after each."""

    def limit(plane: Array) -> Array:
        return jnp.clip(plane, 0.0, 1.0) if clip else plane

    def brighten(plane: Array) -> Array:
        return limit(plane * draw.brightness)

    def contrast(plane: Array) -> Array:
        return limit(draw.contrast * plane + (1.0 - draw.contrast) * jnp.mean(plane))

    plane = as_plane(image)
    plane = jnp.where(
        draw.contrast_first, brighten(contrast(plane)), contrast(brighten(plane))
    )
    return plane.reshape(image.shape)


def jitter_light(
    key: Array,
    image: Array,
    *,
    clip: bool = True,
    probability: float = 0.6,
    brightness: float = 0.4,
    contrast: float = 0.3,
) -> Array:
    """Jitter brightness and contrast, in random order (torchvision `ColorJitter`).

    Saturation and hue, which upstream draws too, change nothing on grey. Upstream
    draws one set of factors per batch: give every image the same key for that.

    Args:
        key: PRNG key.
        image: `[H, W]` or `[H, W, 1]`, float32 in [0, 1].
        clip: clip into [0, 1] after each of the two changes, as upstream.
        probability: how often to change anything.
        brightness: the gain is uniform in 1 +- this, not below 0.
        contrast: the factor about the image's mean is uniform in 1 +- this.

    Returns:
        float32 of the shape of `image`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> jitter_light(jax.random.key(0), jnp.full((4, 4, 1), 0.5)).shape
        (4, 4, 1)

    Source: docs/paper/specification.md §4.
    """
    draw = draw_jitter(
        key, probability=probability, brightness=brightness, contrast=contrast
    )
    return apply_jitter(image, draw, clip=clip)

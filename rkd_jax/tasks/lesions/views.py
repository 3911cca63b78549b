"""What a patch may look like in training: turned, mirrored, of other contrast."""

import jax
import jax.numpy as jnp

Array = jax.Array
GAINS = (0.8, 1.25)
SHIFT = 0.05


def turned(key: Array, *images: Array) -> tuple[Array, ...]:
    """Turn square images by a multiple of 90 degrees and mirror them, all alike.

    Args:
        key: of the draw; all eight ways are equally likely.
        *images: `[S, S]` or `[S, S, C]`. The middle pixel of an odd side stays.
    """
    flips = jax.random.bernoulli(key, shape=(3,))

    def one(image: Array) -> Array:
        image = jnp.where(flips[0], image[::-1], image)
        image = jnp.where(flips[1], image[:, ::-1], image)
        return jnp.where(flips[2], jnp.swapaxes(image, 0, 1), image)

    return tuple(one(image) for image in images)


def lit(key: Array, image: Array) -> Array:
    """Change contrast around the neutral grey, and the level of each channel.

    Args:
        key: of the draw: a gain of 0.8 to 1.25, shifts of up to 0.05.
        image: float `[S, S, C]` in 0..1.
    """
    k_gain, k_shift = jax.random.split(key)
    gain = jax.random.uniform(k_gain, (), minval=GAINS[0], maxval=GAINS[1])
    shift = jax.random.uniform(
        k_shift, (1, 1, image.shape[-1]), minval=-SHIFT, maxval=SHIFT
    )
    return (image - 0.5) * gain + 0.5 + shift


def moved(key: Array, crop: int, *images: Array) -> tuple[Array, ...]:
    """Cut square images to crops at one random place.

    Args:
        key: of the draw.
        crop: side of the result.
        *images: `[S, S]` or `[S, S, C]`, S at least `crop`.
    """
    slack = images[0].shape[0] - crop
    row, column = jax.random.randint(key, (2,), 0, slack + 1)

    def one(image: Array) -> Array:
        start = (row, column, *[0] * (image.ndim - 2))
        return jax.lax.dynamic_slice(image, start, (crop, crop, *image.shape[2:]))

    return tuple(one(image) for image in images)

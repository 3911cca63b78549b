"""What the light changes share: checks, draws, blur."""

import jax
import jax.numpy as jnp

Array = jax.Array


def as_plane(image: Array) -> Array:
    """Check an image and return it as `[H, W]` float32 without gradient."""
    image = jnp.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2:
        raise ValueError(
            f"image has shape {image.shape}; expected [H, W] or [H, W, 1]: "
            "use jax.vmap over a batch"
        )
    return jax.lax.stop_gradient(image.astype(jnp.float32))


def uniform(key: Array, low: float, high: float, shape=()) -> Array:
    """Draw float32 numbers between `low` and `high`."""
    return jax.random.uniform(key, shape, jnp.float32, low, high)


def gaussian_blur(
    image: Array, sigma_px: float | Array, *, max_sigma_px: float
) -> Array:
    """Blur an image; the edge is mirrored without repeating the edge pixel.

    Args:
        image: `[H, W]`, sides of more than `ceil(3 max_sigma_px)` px.
        sigma_px: standard deviation in px, may be traced; 0 changes nothing.
        max_sigma_px: upper bound of `sigma_px`, which fixes the kernel's size at
            `2 ceil(3 max_sigma_px) + 1`.

    Returns:
        `[H, W]` float32.
    """
    radius = max(1, int(-(-3.0 * max_sigma_px // 1)))
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    sigma = jnp.maximum(jnp.asarray(sigma_px, jnp.float32), 1e-3)
    taps = jnp.exp(-0.5 * (offsets / sigma) ** 2)
    taps = taps / jnp.sum(taps)
    # Loops, because compiled CPU code is ten times slower with the sums unrolled.
    height, width = image.shape
    count, full = 2 * radius + 1, width + 2 * radius
    padded = jnp.pad(image, radius, mode="reflect")

    def add_row(i: Array, total: Array) -> Array:
        return total + taps[i] * jax.lax.dynamic_slice(padded, (i, 0), (height, full))

    rows = jax.lax.fori_loop(0, count, add_row, jnp.zeros((height, full), jnp.float32))

    def add_column(i: Array, total: Array) -> Array:
        return total + taps[i] * jax.lax.dynamic_slice(rows, (0, i), image.shape)

    return jax.lax.fori_loop(0, count, add_column, jnp.zeros_like(image))

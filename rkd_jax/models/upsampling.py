"""Bilinear doubling: with aligned corners (tiles, too), or half-pixel centers."""

import functools

import jax
import jax.numpy as jnp

Place = tuple[tuple[jax.Array | int, int], tuple[jax.Array | int, int]]
"""Where a map lies in a larger one: (start, size of the whole) of rows and columns."""


def _double(x: jax.Array, axis: int, start: jax.Array | int, whole: int) -> jax.Array:
    """Double one axis; output i reads the input at i * (n - 1) / (2n - 1)."""
    n = x.shape[axis]
    shape = [n if i == axis else 1 for i in range(x.ndim)]
    k = (start + jnp.arange(n)).astype(jnp.float32).reshape(shape)
    before = (k / (2 * whole - 1)).astype(x.dtype)
    after = ((whole - 1 - k) / (2 * whole - 1)).astype(x.dtype)
    cut = functools.partial(jax.lax.slice_in_dim, x, axis=axis)
    previous = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
    following = jnp.concatenate([cut(1, n), cut(n - 1, n)], axis)
    even = x + before * (previous - x)
    odd = x + after * (following - x)
    both = jnp.stack([even, odd], axis + 1)
    return both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])


def upsample(x: jax.Array, place: Place | None = None) -> jax.Array:
    """Double both sides bilinearly with aligned corners: `[B, h, w, C]`.

    With aligned corners the weights depend on the place in the map: a tile needs its
    `place` in the whole.

    Source: `torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)`.
    `jax.image.resize` uses half-pixel centers instead and does not match.
    """
    rows, columns = place or ((0, x.shape[1]), (0, x.shape[2]))
    return _double(_double(x, 1, *rows), 2, *columns)


def double(x: jax.Array) -> jax.Array:
    """Double both sides bilinearly with half-pixel centers: `[B, h, w, C]`.

    The weights are the same everywhere, so that a tile needs no place.

    Source: `torch.nn.functional.interpolate(scale_factor=2, mode="bilinear",
    align_corners=False)`.

    >>> double(jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1))[0, 0, :, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    for axis in (1, 2):
        n = x.shape[axis]
        cut = functools.partial(jax.lax.slice_in_dim, x, axis=axis)
        before = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
        after = jnp.concatenate([cut(1, n), cut(n - 1, n)], axis)
        both = jnp.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], axis + 1)
        x = both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])
    return x

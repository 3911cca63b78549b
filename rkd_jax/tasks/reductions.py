"""Means and sums over the global batch, however many devices share it."""

import jax
import jax.numpy as jnp

Array = jax.Array


def global_mean(values: Array, weights: Array, axis_name: str | None) -> Array:
    """Return the weighted mean of `values` over all devices, ready for `pmean`.

    Each device divides its own sum by the weight of *all* devices (times their
    number), so that the mean over devices, and of gradients, is the mean over the
    global batch however it is split. No weight at all gives 0 with zero gradient.

    Args:
        values: `[...]`, this device's values.
        weights: same shape, not negative, not differentiated.
        axis_name: the mapped axis, or None outside of `pmap`.

    >>> global_mean(jnp.array([1.0, 3.0]), jnp.array([1.0, 0.0]), None).item()
    1.0
    """
    weights = jax.lax.stop_gradient(weights.astype(values.dtype))
    total = jnp.sum(weights)
    share = jnp.ones((), values.dtype)
    if axis_name is not None:
        share = jax.lax.psum(share, axis_name)
        total = jax.lax.psum(total, axis_name)
    kept = jnp.where(weights > 0, values, jnp.zeros_like(values))
    return share * jnp.sum(kept * weights) / jnp.maximum(total, 1e-12)


def global_sum(value: Array, axis_name: str | None) -> Array:
    """Return the sum of `value` over all devices, ready for `pmean`.

    The gradient of a device's share is taken times the number of devices, so that the
    mean over devices of the gradients is the gradient of the sum.

    Args:
        value: of this device, any shape.
        axis_name: the mapped axis, or None outside of `pmap`.

    >>> global_sum(jnp.array(2.0), None).item()
    2.0
    """
    if axis_name is None:
        return value
    count = jax.lax.psum(jnp.ones((), value.dtype), axis_name)
    shares = count * value
    everywhere = jax.lax.psum(jax.lax.stop_gradient(value), axis_name)
    return shares + everywhere - jax.lax.stop_gradient(shares)

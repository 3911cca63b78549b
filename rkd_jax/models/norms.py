"""Normalization in float32, whatever the compute dtype.

Instance and layer norm are written out in two passes, because Flax's layers round
differently: published weights and runs that are compared bit for bit depend on the
order of these operations.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

EPSILON = 1e-5
"""Added to a variance before its root is taken."""


def instance_norm(x: jax.Array) -> jax.Array:
    """Normalize each image and channel of `[B, H, W, C]` over its pixels."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    variance = jnp.mean(y * y, axis=(1, 2), keepdims=True)
    return (y * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def after_norm(
    activation: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
    """Return the activation of what `instance_norm` gives."""
    return lambda x: activation(instance_norm(x))


def layer_norm(x: jax.Array) -> jax.Array:
    """Normalize the last axis in float32; return the dtype of `x`."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=-1, keepdims=True)
    variance = jnp.mean(y * y, axis=-1, keepdims=True)
    return (y * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


class LayerNorm(nn.Module):
    """Layer norm of the last axis with scale and bias, epsilon 1e-5."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[..., C]` to the same shape and dtype."""
        c = x.shape[-1]
        shape = (1,) * (x.ndim - 1) + (c,)
        scale = self.param("scale", nn.initializers.ones, (c,)).reshape(shape)
        bias = self.param("bias", nn.initializers.zeros, (c,)).reshape(shape)
        y = layer_norm(x.astype(jnp.float32)) * scale + bias
        return y.astype(x.dtype)


class BatchNorm(nn.Module):
    """BatchNorm over the images of all devices; by its averages outside training.

    In training an average moves to `momentum` times itself and 1 - `momentum` times the
    mean or variance of the batch. That variance is divided by n, in PyTorch by n - 1.
    """

    axis_name: str | None = None
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, ..., C]` to the same shape and dtype."""
        norm = nn.BatchNorm(
            not train,
            momentum=self.momentum,
            epsilon=1e-5,
            dtype=jnp.float32,
            axis_name=self.axis_name,
            name="norm",
        )
        return norm(x.astype(jnp.float32)).astype(x.dtype)

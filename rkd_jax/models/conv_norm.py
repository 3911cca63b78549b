"""Convolutions that end in BatchNorm."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.norms import BatchNorm


class ConvNorm(nn.Module):
    """Convolution without bias, then BatchNorm; fast gradients on a CPU."""

    features: int
    size: int = 3
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        conv = layers.Conv(
            self.features, self.size, use_bias=False, dtype=self.dtype, name="conv"
        )
        return BatchNorm(self.axis_name, name="bn")(conv(x), train=train)


class StridedConvNorm(nn.Module):
    """Convolution at a stride, zeros around as PyTorch puts them, then BatchNorm."""

    features: int
    size: int = 3
    stride: int = 1
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, ceil(H / stride), ., features]`."""
        conv = nn.Conv(
            self.features,
            (self.size, self.size),
            self.stride,
            padding=self.size // 2,
            use_bias=False,
            kernel_init=nn.initializers.he_normal(),
            dtype=self.dtype,
            name="conv",
        )
        return BatchNorm(self.axis_name, name="bn")(conv(x), train=train)

"""The descriptor head that all networks share."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.layers import Conv, StridedConv, TransposedConv


class DescriptorHead(nn.Module):
    """Descriptor map of half the resolution of its input and back again.

    Convolution 3x3, ReLU, 4x4 at stride 2 without padding, ReLU, 1x1, unit norm,
    then a 2x2 transposed convolution: n cells a side (n even) become n - 2.

    Source: SuperRetina (Liu et al., ECCV 2022), descriptor decoder. We return 0
    where the vector to normalize is 0, with zero gradient, instead of NaN.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, activation: Callable[[jax.Array], jax.Array] = nn.relu
    ) -> jax.Array:
        """Map `[B, n, m, C]` to `[B, n - 2, m - 2, features]` float32."""
        options = {"dtype": self.dtype}
        x = activation(Conv(self.features, name="conv_a", **options)(x))
        x = activation(StridedConv(self.features, name="conv_b", **options)(x))
        x = Conv(self.features, 1, name="conv_c", **options)(x).astype(jnp.float32)
        square = jnp.sum(x * x, axis=-1, keepdims=True)
        scale = jax.lax.rsqrt(jnp.maximum(square, 1e-24))
        x = x * jnp.where(square > 1e-24, scale, jnp.zeros_like(scale))
        x = TransposedConv(self.features, name="expand", **options)(x)
        return x.astype(jnp.float32)

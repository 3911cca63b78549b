"""Layers of the networks: NHWC, parameters in float32, computed in `dtype`."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.conv import conv2d
from rkd_jax.models.draws import uniform_fan_in


def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Add `bias [C]` to `x [..., C]` in the dtype of `x`."""
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


class Conv(nn.Module):
    """Convolution at stride 1; `padding` zeros on every side.

    Attributes:
        features: Number of output channels.
        size: Side of the square kernel.
        padding: Zeros added on each side; None keeps the size of an odd kernel.
        use_bias: Whether a bias is added.
        dtype: Compute dtype.
        gain: The kernel starts uniform in ±gain/sqrt(fan_in); sqrt(6) keeps the size of
            activations through a ReLU (He et al., 2015).
    """

    features: int
    size: int = 3
    padding: int | None = None
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32
    gain: float = 1.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H', W', features]`."""
        init = uniform_fan_in(self.size**2 * x.shape[-1])
        scaled = uniform_fan_in(self.size**2 * x.shape[-1] / self.gain**2)
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", scaled, shape).astype(self.dtype)
        padding = self.size // 2 if self.padding is None else self.padding
        x = conv2d(x.astype(self.dtype), kernel, padding=padding)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x


def space_to_depth(x: jax.Array) -> jax.Array:
    """Move 2x2 cells to channels: `[B, 2h, 2w, C]` to `[B, h, w, 4C]`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


class StridedConv(nn.Module):
    """Convolution with an even kernel at stride 2 without padding.

    Computed as a convolution at stride 1 of 2x2 cells moved to channels, which has
    fast gradients on every platform. Both sides of the input must be even.
    """

    features: int
    size: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, (H-size)/2+1, (W-size)/2+1, features]`."""
        c, half = x.shape[-1], self.size // 2
        init = uniform_fan_in(self.size**2 * c)
        kernel = self.param("kernel", init, (self.size, self.size, c, self.features))
        kernel = kernel.reshape(half, 2, half, 2, c, self.features)
        kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
        kernel = kernel.reshape(half, half, 4 * c, self.features).astype(self.dtype)
        x = conv2d(space_to_depth(x.astype(self.dtype)), kernel)
        return add_bias(x, self.param("bias", init, (self.features,)))


class TransposedConv(nn.Module):
    """2x2 transposed convolution at stride 2 as a product and depth-to-space.

    `out[2i+a, 2j+b] = in[i, j] @ kernel[:, a, b]`; the kernel is `[C, 2, 2, features]`.
    """

    features: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, h, w, C]` to `[B, 2h, 2w, features]`."""
        b, h, w, c = x.shape
        init = uniform_fan_in(4 * self.features)
        kernel = self.param("kernel", init, (c, 2, 2, self.features))
        kernel = kernel.astype(self.dtype).reshape(c, -1)
        x = jnp.matmul(x.astype(self.dtype).reshape(-1, c), kernel)
        x = x.reshape(b, h, w, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(b, 2 * h, 2 * w, self.features)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x


class Dense(nn.Module):
    """Linear map of the last axis as one product; Flax's rounds differently."""

    features: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[..., C]` to `[..., features]`."""
        c = x.shape[-1]
        init = uniform_fan_in(c)
        kernel = self.param("kernel", init, (c, self.features)).astype(self.dtype)
        lead = x.shape[:-1]
        x = jnp.matmul(x.astype(self.dtype).reshape(-1, c), kernel)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x.reshape(*lead, self.features)


def max_pool(x: jax.Array) -> jax.Array:
    """Take the maximum of 2x2 cells: `[B, 2h, 2w, C]` to `[B, h, w, C]`.

    Equal largest values share the gradient. Several times faster backwards on a CPU
    than `flax.linen.max_pool`.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c)
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


def mean_pool(x: jax.Array) -> jax.Array:
    """Average 2x2 cells: `[B, H, W, C]` to `[B, floor(H/2), floor(W/2), C]`."""
    b, height, width, c = x.shape
    h, w = height // 2, width // 2
    x = x[:, : 2 * h, : 2 * w].reshape(b, h, 2, w, 2, c)
    return jnp.mean(x, axis=(2, 4))

"""Large-kernel SuperRetina: parallel kernels in the encoder, one shared PReLU."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.options import LargeKernelOptions
from rkd_jax.models.superretina import Activation, SuperRetina


class ParallelKernels(nn.Module):
    """`t = act(conv3x3(x))`, then `act(t + sum of one convolution a kernel size)`."""

    features: int
    kernels: tuple[int, ...]
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, activation: Activation) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        x = activation(layers.Conv(self.features, name="conv", dtype=self.dtype)(x))
        total = x
        for size in self.kernels:
            branch = layers.Conv(
                self.features, size, name=f"conv{size}x{size}", dtype=self.dtype
            )
            total = total + branch(x)
        return activation(total)


class LargeKernel(LargeKernelOptions, SuperRetina):
    """SuperRetina with parallel kernels in stages 2 to 4 (3,960,322 parameters).

    One PReLU slope is shared by encoder and descriptor head; the detector decoder
    keeps ReLU. `kernels=(1, 3, 5, 7)` is the ablation (5,766,978 parameters).

    Attributes: those of `LargeKernelOptions`.

    Source: "Reverse Knowledge Distillation" (Nasser et al., WACV 2024), large-kernel
    encoder. In the ablation the 7x7 branch is called, not only built.
    """

    def stage_radius(self) -> int:
        return 1 + max(self.kernels) // 2

    def _stage(self, number: int, x: jax.Array, activation: Activation) -> jax.Array:
        if number == 1:
            return super()._stage(number, x, activation)
        dtype = jnp.dtype(self.compute_dtype)
        features = self.widths[number - 1]
        stage = ParallelKernels(
            features, self.kernels, name=f"stage{number}", dtype=dtype
        )
        return stage(x, activation)

    def _activation(self) -> Activation:
        slope = self.param("slope", nn.initializers.constant(0.25), ())

        def prelu(x: jax.Array) -> jax.Array:
            return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)

        return prelu

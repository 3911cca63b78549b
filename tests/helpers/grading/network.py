"""A network for RGB pictures."""

import flax.linen as nn
import jax.numpy as jnp


class Grader(nn.Module):
    """Return logits `[B, out_channels]` of images `[B, H, W, 3]`."""

    out_channels: int = 3
    width: int = 8
    axis_name: str | None = None

    def example_shape(self, size):
        """Return the shape of a batch of one image."""
        return (1, size, size, 3)

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Conv(self.width, (3, 3), strides=2, use_bias=False)(images)
        # In training, the statistics are those of the batch of all devices.
        x = nn.BatchNorm(not train, momentum=0.8, axis_name=self.axis_name)(x)
        return nn.Dense(self.out_channels)(jnp.mean(nn.relu(x), axis=(1, 2)))

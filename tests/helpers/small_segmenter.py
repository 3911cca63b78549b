"""A segmentation network of a user's own, which compiles in a second."""

import flax.linen as nn

from rkd_jax.models.output import ModelOutput, finish_detector


class Segmenter(nn.Module):
    """Two 3x3 convolutions with BatchNorm between them."""

    in_channels: int = 3
    out_channels: int = 1
    width: int = 4
    axis_name: str | None = None

    def example_shape(self, size):
        """Return the shape of a batch of one image."""
        return (1, size, size, self.in_channels)

    def reach(self):
        """Return how many pixels around it an output sees."""
        return 2

    @nn.compact
    def __call__(self, images, *, train=False):
        x = nn.Conv(self.width, (3, 3), use_bias=False)(images - 0.5)
        x = nn.BatchNorm(not train, momentum=0.8, axis_name=self.axis_name)(x)
        x = nn.Conv(self.out_channels, (3, 3))(nn.relu(x))
        heatmap, logits = finish_detector(x, *images.shape[1:3])
        return ModelOutput(heatmap, logits, None, {})

"""A small network for classes, quick on a CPU."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.classifier import Classifier
from rkd_jax.models.conv_norm import ConvNorm
from rkd_jax.models.options import SmallCnnOptions
from rkd_jax.models.output import ClassOutput, check_images


class SmallCnn(SmallCnnOptions, Classifier):
    """3x3 convolutions with BatchNorm and ReLU, and 2x2 maxima between them.

    Any image size works. Pixels of the last map see 38 pixels of the image by default.

    Attributes: those of `SmallCnnOptions` and of `Classifier`.
    """

    def last_map_grid(self) -> tuple[int, float]:
        """Return stride and first center of the last map; see `Classifier`."""
        stride = 2 ** (len(self.channels) - 1)
        return stride, (stride - 1) / 2

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        example_ids: jax.Array | None = None,
    ) -> ClassOutput:
        """Compute logits and features of images; see `Classifier`."""
        del example_ids
        check_images(images, self.in_channels)
        dtype = jnp.dtype(self.compute_dtype)
        x = images.astype(dtype)
        for number, channels in enumerate(self.channels):
            if number:
                # A zero more changes no maximum of what a ReLU gives.
                odd = [(0, side % 2) for side in x.shape[1:3]]
                x = layers.max_pool(jnp.pad(x, ((0, 0), *odd, (0, 0))))
            conv = ConvNorm(
                channels, axis_name=self.axis_name, dtype=dtype, name=f"conv{number}"
            )
            x = nn.relu(conv(x, train=train))
        return self._classify(x)

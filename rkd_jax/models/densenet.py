"""DenseNet for classification: each layer gets the maps of all before it."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.classifier import Classifier
from rkd_jax.models.conv_norm import StridedConvNorm
from rkd_jax.models.norms import BatchNorm
from rkd_jax.models.options import DenseNetOptions
from rkd_jax.models.output import ClassOutput, check_images


class NormConv(nn.Module):
    """BatchNorm, ReLU, then a convolution without bias."""

    features: int
    size: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        x = nn.relu(BatchNorm(self.axis_name, name="bn")(x, train=train))
        conv = layers.Conv(
            self.features,
            self.size,
            use_bias=False,
            dtype=self.dtype,
            gain=math.sqrt(6.0),
            name="conv",
        )
        return conv(x)


class DenseNet(DenseNetOptions, Classifier):
    """Densely connected network; by default DenseNet-121, for 224 x 224 pixels.

    Attributes: those of `DenseNetOptions` and of `Classifier`.

    Source: Huang et al., CVPR 2017 (DenseNet-BC), in torchvision's form, without
    dropout.
    """

    def last_map_grid(self) -> tuple[int, float]:
        """Return stride and first center of the last map; see `Classifier`."""
        # The stem keeps the center of the first of 4 pixels, means of 2 x 2 the middle.
        stride = 2 ** (len(self.blocks) + 1)
        return stride, (stride - 4) / 2

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        example_ids: jax.Array | None = None,
    ) -> ClassOutput:
        """Compute logits and features of images; see `Classifier`.

        Raises:
            ValueError: images so small that the last map would have no pixel.
        """
        del example_ids
        check_images(images, self.in_channels)
        least = 2 ** (len(self.blocks) + 1) - 3
        if min(images.shape[1:3]) < least:
            raise ValueError(
                f"images have {images.shape[1]} x {images.shape[2]} pixels; expected "
                f"sides of at least {least} for {len(self.blocks)} dense blocks"
            )
        dtype = jnp.dtype(self.compute_dtype)
        how = {"axis_name": self.axis_name, "dtype": dtype}
        stem = StridedConvNorm(self.stem, 7, 2, name="stem", **how)
        x = nn.relu(stem(images.astype(dtype), train=train))
        x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for block, depth in enumerate(self.blocks, start=1):
            if block > 1:
                halve = NormConv(x.shape[-1] // 2, 1, name=f"halve{block}", **how)
                x = layers.mean_pool(halve(x, train=train))
            for number in range(depth):
                narrow = NormConv(
                    self.bn_size * self.growth, 1, name=f"narrow{block}_{number}", **how
                )
                grow = NormConv(self.growth, 3, name=f"grow{block}_{number}", **how)
                new = grow(narrow(x, train=train), train=train)
                x = jnp.concatenate([x, new], axis=-1)
        x = BatchNorm(self.axis_name, name="last_bn")(x, train=train)
        return self._classify(nn.relu(x))

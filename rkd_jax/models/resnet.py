"""ResNet for classification: logits, and features to compare."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.classifier import Classifier
from rkd_jax.models.conv_norm import StridedConvNorm
from rkd_jax.models.options import ResNetOptions
from rkd_jax.models.output import ClassOutput, check_images


class Block(nn.Module):
    """Two 3x3 convolutions, or with `bottleneck` 1x1, 3x3, 1x1; then the shortcut."""

    features: int
    stride: int = 1
    bottleneck: bool = True
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H / stride, W / stride, F]`."""
        how = {"axis_name": self.axis_name, "dtype": self.dtype}
        # Where a bottleneck takes its stride: at the 3x3 convolution, as torchvision.
        layers = [(self.features, 3, self.stride), (self.features, 3, 1)]
        if self.bottleneck:
            layers = [
                (self.features, 1, 1),
                (self.features, 3, self.stride),
                (4 * self.features, 1, 1),
            ]
        y = x
        for number, (features, size, stride) in enumerate(layers):
            y = nn.relu(y) if number else y
            y = StridedConvNorm(features, size, stride, name=f"conv{number}", **how)(
                y, train=train
            )
        # Not by the shapes: a map of one pixel stays one pixel at any stride.
        if self.stride > 1 or x.shape[-1] != y.shape[-1]:
            x = StridedConvNorm(y.shape[-1], 1, self.stride, name="shortcut", **how)(
                x, train=train
            )
        return nn.relu(x + y)


class ResNet(ResNetOptions, Classifier):
    """Residual network with BatchNorm; by default ResNet-50 without stem pooling.

    Attributes: those of `ResNetOptions` and of `Classifier`.

    Source: He et al., CVPR 2016, in torchvision's form; Sarhan et al., MICCAI 2019,
    for lesions, who leave out one down-sampling step, which they do not name.
    """

    def last_map_grid(self) -> tuple[int, float]:
        """Return stride and first center of the last map; see `Classifier`."""
        # All kernels are odd and centered: a cell keeps the center of its first pixel.
        return 2 ** (len(self.widths) + self.stem_pool), 0.0

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
        how = {"axis_name": self.axis_name, "dtype": dtype}
        stem = StridedConvNorm(self.widths[0], 7, 2, name="stem", **how)
        x = nn.relu(stem(images.astype(dtype), train=train))
        if self.stem_pool:
            x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
        for stage, (width, depth) in enumerate(
            zip(self.widths, self.depths, strict=True)
        ):
            for number in range(depth):
                block = Block(
                    width,
                    2 if stage and not number else 1,
                    self.bottleneck,
                    name=f"stage{stage + 1}_{number}",
                    **how,
                )
                x = block(x, train=train)
        return self._classify(x)

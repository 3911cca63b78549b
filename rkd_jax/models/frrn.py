"""FRRN type A: segmentation with a stream of features at full resolution."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.conv_norm import ConvNorm
from rkd_jax.models.options import FrrnOptions
from rkd_jax.models.output import ModelOutput, finish_detector, pad_images
from rkd_jax.models.upsampling import double

ENCODER = ((3, 2), (4, 4), (2, 8), (2, 8))
"""Units, and channels in widths, at a half, a quarter ... of the resolution."""
DECODER = ((2, 4), (2, 4), (2, 2))
"""The same on the way back, beginning at an eighth."""


class ResidualUnit(nn.Module):
    """x + BN(conv(ReLU(BN(conv(x))))), without activation after the sum."""

    features: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        how = {"axis_name": self.axis_name, "dtype": self.dtype}
        y = nn.relu(ConvNorm(self.features, name="conv_a", **how)(x, train=train))
        y = ConvNorm(self.features, name="conv_b", **how)(y, train=train)
        if x.shape[-1] != self.features:
            shortcut = layers.Conv(
                self.features, 1, use_bias=False, dtype=self.dtype, name="shortcut"
            )
            x = shortcut(x)
        return x + y


class FullResolutionUnit(nn.Module):
    """Both streams meet: features at 1 / 2^levels and lanes at full resolution."""

    features: int
    levels: int
    axis_name: str | None = None
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, lanes: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """Return both streams, `[B, h, w, features]` and `[B, H, W, L]`."""
        how = {"axis_name": self.axis_name, "dtype": self.dtype}
        small = lanes
        for _ in range(self.levels):
            small = layers.max_pool(small)
        x = jnp.concatenate([x, small], axis=-1)
        x = nn.relu(ConvNorm(self.features, name="conv_a", **how)(x, train=train))
        x = nn.relu(ConvNorm(self.features, name="conv_b", **how)(x, train=train))
        back = layers.Conv(lanes.shape[-1], 1, dtype=self.dtype, name="conv_lanes")(x)
        cell = 2**self.levels
        back = jnp.repeat(jnp.repeat(back, cell, axis=1), cell, axis=2)
        return x, lanes + back


class Frrn(FrrnOptions, nn.Module):
    """Full-resolution residual network, type A (17.75 million parameters).

    Any image size works: images are zero-padded at the right and bottom to a multiple
    of 16 and the maps are cropped back. BatchNorm stands before each activation.

    Attributes: those of `FrrnOptions`.
        axis_name: mapped axis over which BatchNorm takes its statistics in training.

    Source: Pohlen et al., CVPR 2017, table 1 and the authors' code (MIT), where
    up-sampling is bilinear; Sarhan et al., MICCAI 2019, section 2.1, for lesions. One
    output with a sigmoid takes the place of two with a softmax.
    """

    axis_name: str | None = None

    divisor = 16

    def __post_init__(self):
        """Check the options; raise a ValueError with the name of a bad one."""
        self.check()
        super().__post_init__()

    def example_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a batch of one square image."""
        return (1, size, size, self.in_channels)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> ModelOutput:
        """Compute the maps.

        Args:
            images: `[B, H, W, in_channels]` float in 0..1.
            train: BatchNorm takes the statistics of the batch; "batch_stats" must then
                be mutable.

        Returns:
            A `ModelOutput` with heatmap and logits.

        Raises:
            ValueError: images of another shape.
        """
        dtype = jnp.dtype(self.compute_dtype)
        how = {"axis_name": self.axis_name, "dtype": dtype}
        x = pad_images(
            images, channels=self.in_channels, divisor=self.divisor, minimum=16
        ).astype(dtype)
        x = nn.relu(ConvNorm(self.width, 5, name="stem", **how)(x, train=train))
        for unit in range(3):
            x = ResidualUnit(self.width, name=f"first{unit}", **how)(x, train=train)
        lanes = ConvNorm(self.lanes, 1, name="lanes", **how)(x, train=train)
        level = 0
        for units, widths in ENCODER:
            x, level = layers.max_pool(x), level + 1
            for unit in range(units):
                x, lanes = FullResolutionUnit(
                    widths * self.width, level, name=f"down{level}_{unit}", **how
                )(x, lanes, train=train)
        for units, widths in DECODER:
            x, level = double(x), level - 1
            for unit in range(units):
                x, lanes = FullResolutionUnit(
                    widths * self.width, level, name=f"up{level}_{unit}", **how
                )(x, lanes, train=train)
        x = jnp.concatenate([double(x), lanes], axis=-1)
        for unit in range(3):
            x = ResidualUnit(self.width, name=f"last{unit}", **how)(x, train=train)
        logits = layers.Conv(self.out_channels, 1, dtype=dtype, name="conv_last")(x)
        heatmap, logits = finish_detector(logits, *images.shape[1:3])
        return ModelOutput(heatmap, logits, None, {})

    def reach(self) -> int:
        """Return how many pixels around it an output sees, at most.

        >>> Frrn(width=1, lanes=1).reach()
        240
        """
        # A 3x3 convolution at 1 / 2^n sees 2^n more pixels on each side, and bilinear
        # doubling one cell of the smaller map. That cell is on the side where the own
        # one ends, so that what pooling sees in the own one adds nothing.
        convolutions = 2 + 3 * 2 + 3 * 2
        for level, (units, _) in enumerate(ENCODER, start=1):
            convolutions += 2 * units * 2**level
        for level, (units, _) in zip((3, 2, 1), DECODER, strict=True):
            convolutions += 2 * units * 2**level
        doublings = 16 + 8 + 4 + 2
        return convolutions + doublings

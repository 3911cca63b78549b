"""Swin UNETR in two dimensions: Swin encoder, residual decoder, descriptor head."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.descriptor import DescriptorHead
from rkd_jax.models.norms import after_norm, instance_norm
from rkd_jax.models.options import SwinUnetrOptions
from rkd_jax.models.output import (
    HEADS,
    ModelOutput,
    check_heads,
    detector_count,
    finish_detector,
    pad_images,
)
from rkd_jax.models.swin import SwinTransformer


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm and a residual (1x1 if needed)."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        options = {"use_bias": False, "dtype": self.dtype}
        y = layers.Conv(self.features, name="conv1", **options)(x)
        y = nn.leaky_relu(instance_norm(y))
        y = instance_norm(layers.Conv(self.features, name="conv2", **options)(y))
        if x.shape[-1] != self.features:
            x = layers.Conv(self.features, 1, name="conv3", **options)(x)
            x = instance_norm(x)
        return nn.leaky_relu(y + x)


class UpBlock(nn.Module):
    """Double the map, join the skip, then a residual block."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, skip: jax.Array) -> jax.Array:
        """Map `[B, h, w, C]` and `[B, 2h, 2w, features]` to the latter's shape."""
        x = layers.TransposedConv(
            self.features, use_bias=False, name="transposed", dtype=self.dtype
        )(x)
        x = jnp.concatenate([x, skip], axis=-1)
        return ResidualBlock(self.features, name="block", dtype=self.dtype)(x)


class SwinUnetr(SwinUnetrOptions, nn.Module):
    """Swin UNETR with a descriptor head at stride 8 (7,900,667 parameters).

    Any image size works: images are zero-padded at the right and bottom to a
    multiple of 32 (at least 64) and the heatmap is cropped back.

    Attributes: those of `SwinUnetrOptions`.

    Source: MONAI 1.6.1 `SwinUNETR(spatial_dims=2, norm_name="instance")` with the
    SuperRetina descriptor head on `decoder4`, as in RKD (WACV 2024). Dropout after
    the attention is drawn after windows are merged again: the same distribution.
    """

    divisor = 32
    minimum = 64

    def __post_init__(self):
        """Check the options; raise a ValueError with the name of a bad one."""
        self.check()
        super().__post_init__()

    def example_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a batch of one square image."""
        return (1, size, size, self.in_channels)

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        heads: tuple[str, ...] = HEADS,
        detector_images: int | None = None,
        example_ids: jax.Array | None = None,
    ) -> ModelOutput:
        """Compute the heads asked for.

        Args:
            images: `[B, H, W, in_channels]` float in 0..1.
            train: Whether dropout acts; needs the "dropout" key then.
            heads: Any of "detector" and "descriptor"; others are not computed.
            detector_images: The detector is computed for this many leading images
                only: heatmap, logits, `dec1` and `dec0` have that batch size.
                Default all.
            example_ids: `[B]` int32 numbers of the examples, which choose their
                dropout masks; default 0 .. B-1.

        Returns:
            A `ModelOutput`; intermediates are the hidden states `h0` .. `h4` and,
            as far as computed, the decoder maps `dec4` .. `dec0`.

        Raises:
            ValueError: Unknown head, images of another shape, or `detector_images`
                not in 1..B.
        """
        check_heads(heads)
        dtype = jnp.dtype(self.compute_dtype)
        x = pad_images(
            images,
            channels=self.in_channels,
            divisor=self.divisor,
            minimum=self.minimum,
        ).astype(dtype)
        count = detector_count(detector_images, x.shape[0])
        states = SwinTransformer(
            self.feature_size,
            self.depths,
            self.num_heads,
            self.window_size,
            self.mlp_ratio,
            self.qkv_bias,
            self.drop_rate,
            self.compute_dtype,
            name="encoder",
        )(x, train=train, example_ids=example_ids)
        maps = {f"h{i}": state for i, state in enumerate(states)}
        heatmap = logits = descriptors = None
        if heads:
            maps |= self._coarse_decoder(states, dtype)
        if "descriptor" in heads and self.descriptor_dim:
            head = DescriptorHead(self.descriptor_dim, name="descriptor", dtype=dtype)
            activation = nn.relu
            if self.norm == "instance":
                activation = after_norm(activation)
            descriptors = head(maps["dec2"], activation)
        if "detector" in heads:
            fine, logits = self._fine_decoder(
                x[:count],
                [state[:count] for state in states[:2]],
                maps["dec2"][:count],
                dtype,
            )
            maps |= fine
            heatmap, logits = finish_detector(logits, *images.shape[1:3])
        return ModelOutput(heatmap, logits, descriptors, maps)

    def _coarse_decoder(self, states, dtype) -> dict[str, jax.Array]:
        """Return dec4 (1/32), dec3 (1/16) and dec2 (1/8)."""
        f = self.feature_size
        dec4 = ResidualBlock(16 * f, dtype, name="encoder10")(states[4])
        dec3 = UpBlock(8 * f, dtype, name="decoder5")(dec4, states[3])
        skip = ResidualBlock(4 * f, dtype, name="encoder4")(states[2])
        dec2 = UpBlock(4 * f, dtype, name="decoder4")(dec3, skip)
        return {"dec4": dec4, "dec3": dec3, "dec2": dec2}

    def _fine_decoder(self, x, states, dec2, dtype):
        """Return dec1 (1/4), dec0 (1/2) and the logits of the padded images."""
        f = self.feature_size
        skip = ResidualBlock(2 * f, dtype, name="encoder3")(states[1])
        dec1 = UpBlock(2 * f, dtype, name="decoder3")(dec2, skip)
        skip = ResidualBlock(f, dtype, name="encoder2")(states[0])
        dec0 = UpBlock(f, dtype, name="decoder2")(dec1, skip)
        skip = ResidualBlock(f, dtype, name="encoder1")(x)
        out = UpBlock(f, dtype, name="decoder1")(dec0, skip)
        logits = layers.Conv(self.out_channels, 1, name="out", dtype=dtype)(out)
        return {"dec1": dec1, "dec0": dec0}, logits

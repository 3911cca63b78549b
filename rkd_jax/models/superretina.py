"""SuperRetina: a U-Net with a keypoint detector and a descriptor head."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models import layers
from rkd_jax.models.descriptor import DescriptorHead
from rkd_jax.models.norms import after_norm
from rkd_jax.models.options import SuperRetinaOptions
from rkd_jax.models.output import (
    HEADS,
    ModelOutput,
    check_heads,
    detector_count,
    finish_detector,
    pad_images,
)
from rkd_jax.models.upsampling import Place, upsample

Activation = Callable[[jax.Array], jax.Array]


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each followed by the activation."""

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, activation: Activation = nn.relu) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H, W, features]`."""
        x = activation(layers.Conv(self.features, name="conv_a", dtype=self.dtype)(x))
        return activation(
            layers.Conv(self.features, name="conv_b", dtype=self.dtype)(x)
        )


class DetectorDecoder(nn.Module):
    """Three times: double the trunk, join the skip of that size, convolve twice."""

    widths: tuple[int, ...]
    out_channels: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        skips: list[jax.Array],
        activation: Activation = nn.relu,
        place: Place | None = None,
    ) -> jax.Array:
        """Map the trunk and the skips of stages 1, 2, 3 to logits `[B, H, W, K]`."""
        for stage in (3, 2, 1):
            cell, here = 2**stage, None
            if place is not None:
                here = tuple((start // cell, whole // cell) for start, whole in place)
            x = upsample(x, here)
            x = jnp.concatenate([x, skips[stage - 1]], axis=-1)
            features = self.widths[stage - 1]
            x = DoubleConv(features, name=f"up{stage}", dtype=self.dtype)(x, activation)
        return layers.Conv(self.out_channels, 1, name="conv_last", dtype=self.dtype)(x)


class SuperRetina(SuperRetinaOptions, nn.Module):
    """U-Net encoder, detector decoder and descriptor head (3,001,217 parameters).

    Any image size works: images are zero-padded at the right and bottom to a
    multiple of 16 (at least 32) and the heatmap is cropped back.

    Attributes: those of `SuperRetinaOptions`.

    Source: SuperRetina (Liu et al., ECCV 2022), section 3. We accept any size.
    """

    divisor = 16
    minimum = 32

    def __post_init__(self):
        """Check the options; raise a ValueError with the name of a bad one."""
        self.check()
        super().__post_init__()

    def example_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a batch of one square image."""
        return (1, size, size, self.in_channels)

    def stage_radius(self) -> int:
        """Return how many cells around it a cell of stages 2 to 4 sees."""
        return 2

    def _stage(self, number: int, x: jax.Array, activation: Activation) -> jax.Array:
        """Return encoder stage 1..4 of `x`; `large_kernel` has its own."""
        dtype = jnp.dtype(self.compute_dtype)
        features = self.widths[number - 1]
        return DoubleConv(features, name=f"stage{number}", dtype=dtype)(x, activation)

    def _activation(self) -> Activation:
        """Return the activation of the encoder and of the descriptor head."""
        return nn.relu

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        heads: tuple[str, ...] = HEADS,
        detector_images: int | None = None,
        place: Place | None = None,
        example_ids: jax.Array | None = None,
    ) -> ModelOutput:
        """Compute the heads asked for.

        Args:
            images: `[B, H, W, in_channels]` float in 0..1.
            train: Training mode; without effect here (no dropout).
            heads: Any of "detector" and "descriptor"; others are not computed.
            detector_images: The detector is computed for this many leading images
                only: heatmap and logits have that batch size. Default all.
            place: Where the images lie in larger ones, pixels in multiples of 16; see
                `tiles`.
            example_ids: `[B]` numbers of the examples; without effect here.

        Returns:
            A `ModelOutput`; intermediates are `stage1` .. `stage3` and `trunk`.

        Raises:
            ValueError: Unknown head, images of another shape, or `detector_images`
                not in 1..B.
        """
        del train, example_ids
        check_heads(heads)
        dtype = jnp.dtype(self.compute_dtype)
        x = pad_images(
            images,
            channels=self.in_channels,
            divisor=self.divisor,
            minimum=self.minimum,
        ).astype(dtype)
        count = detector_count(detector_images, x.shape[0])
        activation, decoder_activation = self._activation(), nn.relu
        if self.norm == "instance":
            activation = after_norm(activation)
            decoder_activation = after_norm(decoder_activation)
        stages = []
        for number in (1, 2, 3, 4):
            x = layers.max_pool(x) if number > 1 else x
            x = self._stage(number, x, activation)
            stages.append(x)
        heatmap = logits = descriptors = None
        if "detector" in heads:
            decoder = DetectorDecoder(
                self.widths, self.out_channels, name="detector", dtype=dtype
            )
            heatmap, logits = finish_detector(
                decoder(
                    x[:count],
                    [skip[:count] for skip in stages[:3]],
                    decoder_activation,
                    place,
                ),
                *images.shape[1:3],
            )
        if "descriptor" in heads and self.descriptor_dim:
            head = DescriptorHead(self.descriptor_dim, name="descriptor", dtype=dtype)
            descriptors = head(x, activation)
        names = ("stage1", "stage2", "stage3", "trunk")
        return ModelOutput(heatmap, logits, descriptors, dict(zip(names, stages)))

"""The Swin encoder as a network for classes."""

import flax.linen as nn
import jax

from rkd_jax.models.classifier import Classifier
from rkd_jax.models.options import SwinClassifierOptions
from rkd_jax.models.output import ClassOutput, pad_images
from rkd_jax.models.swin import SwinTransformer


class SwinClassifier(SwinClassifierOptions, Classifier):
    """The encoder of `SwinUnetr`, the mean of its last map, and a linear layer.

    Any image size works: an odd side gets a row of zeros at its end. The parameters of
    the encoder have the names that they have in `SwinUnetr` ("encoder").

    Attributes: those of `SwinClassifierOptions` and of `Classifier`.

    Source: Liu et al., ICCV 2021; the encoder as in MONAI, see `SwinTransformer`, whose
    last map has 16 times `feature_size` channels at 1/32 of the size.
    """

    def last_map_grid(self) -> tuple[int, float]:
        """Return stride and first center of the last map; see `Classifier`."""
        stride = 2 ** (len(self.depths) + 1)
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
        images = pad_images(images, channels=self.in_channels, divisor=2, minimum=2)
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
        )(images, train=train, example_ids=example_ids)
        return self._classify(states[-1])

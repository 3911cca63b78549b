"""Proposals of two segmentation networks, and a classifier of patches."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.options import TwoStageOptions
from rkd_jax.models.output import ClassOutput

PARTS = ("full", "half", "classifier")


class TwoStage(TwoStageOptions, nn.Module):
    """The three networks that find small lesions together.

    `full` and `half` are segmentation networks of the same kind, for the photograph at
    its scale and at half of it; `classifier` takes patches around the pixels that they
    propose.

    Attributes: those of `TwoStageOptions`.

    Source: Sarhan et al., MICCAI 2019.
    """

    def __post_init__(self):
        """Check the options; raise a ValueError with the name of a bad one."""
        self.check()
        super().__post_init__()

    def setup(self):
        # Here, not at the top: the table of networks names this module.
        from rkd_jax.models.table import build

        self.full, self.half = (build(**self.proposal) for _ in range(2))
        self.classifier = build(**self.patches)

    @nn.nowrap
    def example_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a batch of one square image."""
        return (1, size, size, self.in_channels)

    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array, ClassOutput]:
        """Apply the three networks to the same images, which makes all parameters."""
        return (*(self.propose(images, part) for part in PARTS[:2]), self.judge(images))

    def propose(self, images: jax.Array, part: str) -> jax.Array:
        """Return the probability map `[B, H, W]` of images `[B, H, W, 3]`.

        Args:
            images: float in 0..1, at the scale of `part`.
            part: "full" or "half".
        """
        return getattr(self, part)(images).heatmap

    def judge(self, patches: jax.Array) -> ClassOutput:
        """Return what the classifier says of patches `[B, p, p, 3]`."""
        return self.classifier(patches)

    @nn.nowrap
    def reach(self) -> int:
        """Return how many pixels around it a pixel of a proposal map sees, at most."""
        from rkd_jax.models.table import build

        return build(**self.proposal).reach()


def lesion_probability(output: ClassOutput) -> jax.Array:
    """Return the probability `[B]` of a classifier's second class."""
    return jax.nn.softmax(output.logits)[:, 1].astype(jnp.float32)

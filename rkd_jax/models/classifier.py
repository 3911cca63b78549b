"""What the networks for classes share: how they are made, called, and end."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from rkd_jax.models.options import ClassifierOptions
from rkd_jax.models.output import ClassOutput


class Classifier(ClassifierOptions, nn.Module):
    """A network for classes; a subclass adds its options and `__call__`.

    All are called as `module(images, train=False, example_ids=None)` and return a
    `ClassOutput`; images of another shape raise a ValueError. `images` are float
    `[B, H, W, in_channels]`. With `train`, BatchNorm takes the statistics of the batch
    ("batch_stats" must be mutable), and dropout acts (there must be a key "dropout").
    `example_ids`, int32 `[B]`, choose the dropout masks; default 0 .. B-1.

    Attributes: those of `ClassifierOptions`.
        axis_name: mapped axis over which BatchNorm takes its statistics in training;
            without effect where there is none.
    """

    axis_name: str | None = None

    def __post_init__(self):
        """Check the options; raise a ValueError with the name of a bad one."""
        self.check()
        super().__post_init__()

    def example_shape(self, size: int) -> tuple[int, ...]:
        """Return the shape of a batch of one square image."""
        return (1, size, size, self.in_channels)

    def last_map_grid(self) -> tuple[int, float] | None:
        """Return where the cells of the last map lie in the image.

        Returns:
            (stride, first): cell i is centered at the pixel first + stride * i, on both
            axes; None: not known.
        """
        return None

    def _classify(self, last_map: jax.Array) -> ClassOutput:
        """Return the answer from the last map `[B, h, w, D]`, in a compact method."""
        features = jnp.mean(last_map.astype(jnp.float32), axis=(1, 2))
        if self.embedding_dim:
            features = nn.Dense(self.embedding_dim, name="embedding")(features)
        logits = nn.Dense(self.out_channels, name="logits")(features)
        return ClassOutput(logits, features, last_map)

"""The options of the networks for classes."""

import dataclasses

from rkd_jax.models.options.base import NetworkOptions, check_optional, check_positive
from rkd_jax.models.options.swin import SwinOptions


@dataclasses.dataclass
class ClassifierOptions(NetworkOptions):
    """What every network for classes has.

    Attributes:
        embedding_dim: Channels of a linear layer between the mean of the last map and
            the logits; its outputs are then the features. 0: no such layer.
    """

    in_channels: int = 3
    out_channels: int = 2
    embedding_dim: int = 0

    def _check(self, where: str) -> None:
        check_optional(self, where, "embedding_dim", "layer")


@dataclasses.dataclass
class ResNetOptions(ClassifierOptions):
    """Options of `resnet.ResNet`.

    Attributes:
        widths: Channels of the stages, each after the first at half the size of the
            one before; a bottleneck gives four times as many.
        depths: Blocks of the stages.
        bottleneck: Whether a block is 1x1, 3x3, 1x1 (ResNet-50) or 3x3, 3x3.
        stem_pool: Whether a 3x3 maximum at stride 2 follows the first convolution.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    stem_pool: bool = False

    def _check(self, where: str) -> None:
        super()._check(where)
        check_positive(self, where, "widths", "depths")
        if len(self.widths) != len(self.depths):
            raise ValueError(
                f"{where}widths is {self.widths} and {where}depths is {self.depths}; "
                "expected as many of both"
            )


@dataclasses.dataclass
class DenseNetOptions(ClassifierOptions):
    """Options of `densenet.DenseNet`.

    Attributes:
        growth: Channels that a layer adds.
        blocks: Layers of the dense blocks, each after the first at half the size of
            the one before.
        stem: Channels of the first convolution.
        bn_size: Channels between the two convolutions of a layer, in growths.
    """

    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    stem: int = 64
    bn_size: int = 4

    def _check(self, where: str) -> None:
        super()._check(where)
        check_positive(self, where, "growth", "blocks", "stem", "bn_size")


@dataclasses.dataclass
class SmallCnnOptions(ClassifierOptions):
    """Options of `small_cnn.SmallCnn`.

    Attributes:
        channels: Of the convolutions, each after the first at half the size of the one
            before.
    """

    channels: tuple[int, ...] = (16, 32, 64, 128)

    def _check(self, where: str) -> None:
        super()._check(where)
        check_positive(self, where, "channels")


@dataclasses.dataclass
class SwinClassifierOptions(SwinOptions, ClassifierOptions):
    """Options of `swin_classifier.SwinClassifier`: of its encoder and of its head."""

    drop_rate: float = 0.0

    def _check(self, where: str) -> None:
        super()._check(where)
        self._check_encoder(where)

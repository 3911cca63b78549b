"""The options of the networks for keypoints."""

import dataclasses

from rkd_jax.models.options.base import (
    NetworkOptions,
    check_known,
    check_optional,
    check_positive,
)
from rkd_jax.models.options.swin import SwinOptions

NORMS = ("none", "instance")


@dataclasses.dataclass
class KeypointOptions(NetworkOptions):
    """What every network for keypoints has.

    Attributes:
        descriptor_dim: Channels of the descriptors; 0 builds no descriptor head.
        norm: "none" as published, or "instance": parameter-free instance norm before
            each activation that has none, with which descriptors learn in hundreds of
            steps.
    """

    descriptor_dim: int = 256
    norm: str = "none"

    def _check(self, where: str) -> None:
        check_optional(self, where, "descriptor_dim", "head")
        check_known(self, where, "norm", NORMS)


@dataclasses.dataclass
class SuperRetinaOptions(KeypointOptions):
    """Options of `superretina.SuperRetina`.

    Attributes:
        widths: Channels of the four encoder stages.
    """

    widths: tuple[int, ...] = (64, 64, 128, 128)

    def _check(self, where: str) -> None:
        super()._check(where)
        check_positive(self, where, "widths")
        if len(self.widths) != 4:
            raise ValueError(f"{where}widths is {self.widths}; expected four numbers")


@dataclasses.dataclass
class LargeKernelOptions(SuperRetinaOptions):
    """Options of `large_kernel.LargeKernel`.

    Attributes:
        kernels: Odd sizes of the parallel kernels.
    """

    kernels: tuple[int, ...] = (1, 3, 5)

    def _check(self, where: str) -> None:
        super()._check(where)
        check_positive(self, where, "kernels")
        sizes = self.kernels
        if any(size % 2 == 0 for size in sizes) or len(set(sizes)) != len(sizes):
            raise ValueError(f"{where}kernels is {sizes}; expected different odd sizes")


@dataclasses.dataclass
class SwinUnetrOptions(SwinOptions, KeypointOptions):
    """Options of `swin_unetr.SwinUnetr`: those of its encoder and of its heads."""

    def _check(self, where: str) -> None:
        super()._check(where)
        self._check_encoder(where)

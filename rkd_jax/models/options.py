"""The options of the networks, with their ranges; the networks take them as fields.

Python alone, so that configs can hold them without loading JAX.
"""

import dataclasses
from collections.abc import Mapping

NORMS = ("none", "instance")
COMPUTE_DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass
class NetworkOptions:
    """What every network has.

    Attributes:
        in_channels: Channels of the images.
        out_channels: Heatmaps an image (a single one has no channel axis), or classes.
        compute_dtype: "float32" or "bfloat16"; parameters and outputs are float32.
    """

    in_channels: int = 1
    out_channels: int = 1
    compute_dtype: str = "float32"

    def check(self, field: str = "") -> None:
        """Raise a ValueError that names the first option out of its range.

        Args:
            field: What the options are a part of, as "config.model".
        """
        where = f"{field}." if field else ""
        self._check_positive(where, "in_channels", "out_channels")
        self._check_known(where, "compute_dtype", COMPUTE_DTYPES)
        self._check(where)

    def _check(self, where: str) -> None:
        """Check what is the network's own."""

    def _check_known(self, where: str, name: str, known: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in known:
            raise ValueError(
                f"{where}{name} is {value!r}; expected {' or '.join(known)}"
            )

    def _check_positive(self, where: str, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else (value,)
            if not values or not all(isinstance(v, int) and v > 0 for v in values):
                raise ValueError(
                    f"{where}{name} is {value!r}; expected whole numbers above 0"
                )


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
        if not isinstance(self.descriptor_dim, int) or self.descriptor_dim < 0:
            raise ValueError(
                f"{where}descriptor_dim is {self.descriptor_dim!r}; expected 0 (no "
                "head) or more"
            )
        self._check_known(where, "norm", NORMS)


@dataclasses.dataclass
class FrrnOptions(NetworkOptions):
    """Options of `frrn.Frrn`.

    Attributes:
        width: Channels at full resolution; 2 to 8 times as many below.
        lanes: Channels of the residual stream.
    """

    in_channels: int = 3
    width: int = 48
    lanes: int = 32

    def _check(self, where: str) -> None:
        self._check_positive(where, "width", "lanes")


@dataclasses.dataclass
class ResNetOptions(NetworkOptions):
    """Options of `resnet.ResNet`.

    Attributes:
        widths: Channels of the stages, each after the first at half the size of the
            one before; a bottleneck gives four times as many.
        depths: Blocks of the stages.
        bottleneck: Whether a block is 1x1, 3x3, 1x1 (ResNet-50) or 3x3, 3x3.
        stem_pool: Whether a 3x3 maximum at stride 2 follows the first convolution.
    """

    in_channels: int = 3
    out_channels: int = 2
    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    stem_pool: bool = False

    def _check(self, where: str) -> None:
        self._check_positive(where, "widths", "depths")
        if len(self.widths) != len(self.depths):
            raise ValueError(
                f"{where}widths is {self.widths} and {where}depths is {self.depths}; "
                "expected as many of both"
            )


@dataclasses.dataclass
class TwoStageOptions(NetworkOptions):
    """Options of `two_stage.TwoStage`: each network's own, with its name as "name".

    Its own `out_channels` and `compute_dtype` are without effect: the networks have
    theirs.

    Attributes:
        proposal: Of the two segmentation networks, which have one output.
        patches: Of the classifier, which has two classes.
    """

    in_channels: int = 3
    proposal: dict = dataclasses.field(default_factory=lambda: {"name": "frrn"})
    patches: dict = dataclasses.field(default_factory=lambda: {"name": "resnet"})

    def _check(self, where: str) -> None:
        for name in ("proposal", "patches"):
            options = getattr(self, name)
            if not isinstance(options, Mapping) or "name" not in options:
                raise ValueError(
                    f"{where}{name} is {options!r}; expected the options of a network "
                    'with its name as "name"'
                )

    def parts(self) -> dict[str, dict]:
        """Return the options of its networks, by the name of the option."""
        return {"proposal": dict(self.proposal), "patches": dict(self.patches)}


@dataclasses.dataclass
class SuperRetinaOptions(KeypointOptions):
    """Options of `superretina.SuperRetina`.

    Attributes:
        widths: Channels of the four encoder stages.
    """

    widths: tuple[int, ...] = (64, 64, 128, 128)

    def _check(self, where: str) -> None:
        super()._check(where)
        self._check_positive(where, "widths")
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
        self._check_positive(where, "kernels")
        sizes = self.kernels
        if any(size % 2 == 0 for size in sizes) or len(set(sizes)) != len(sizes):
            raise ValueError(f"{where}kernels is {sizes}; expected different odd sizes")


@dataclasses.dataclass
class SwinUnetrOptions(KeypointOptions):
    """Options of `swin_unetr.SwinUnetr`.

    Attributes:
        feature_size: Channels of the first stage; each stage doubles them.
        depths: Blocks of the four stages.
        num_heads: Heads of the four stages; they share the channels of their stage.
        window_size: Side of an attention window in tokens.
        mlp_ratio: Width of a block's hidden layer to its channels.
        qkv_bias: Whether queries, keys and values have a bias.
        drop_rate: Dropout of embeddings, attention projections and MLPs in training.
    """

    feature_size: int = 24
    depths: tuple[int, ...] = (2, 2, 2, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    drop_rate: float = 0.5

    def _check(self, where: str) -> None:
        super()._check(where)
        self._check_positive(
            where, "feature_size", "depths", "num_heads", "window_size"
        )
        if self.window_size < 2:
            raise ValueError(
                f"{where}window_size is {self.window_size}; expected at least 2"
            )
        for name in ("depths", "num_heads"):
            if len(getattr(self, name)) != 4:
                raise ValueError(
                    f"{where}{name} is {getattr(self, name)}; expected four numbers"
                )
        for stage, heads in enumerate(self.num_heads):
            channels = self.feature_size * 2**stage
            if channels % heads:
                raise ValueError(
                    f"{where}feature_size is {self.feature_size}; stage {stage + 1} "
                    f"has {channels} channels, which {heads} heads cannot share"
                )
        if not 0 <= self.drop_rate < 1:
            raise ValueError(
                f"{where}drop_rate is {self.drop_rate!r}; expected 0 <= rate < 1"
            )


OPTIONS: dict[str, type[NetworkOptions]] = {
    "superretina": SuperRetinaOptions,
    "large_kernel": LargeKernelOptions,
    "swin_unetr": SwinUnetrOptions,
    "frrn": FrrnOptions,
    "resnet": ResNetOptions,
    "two_stage": TwoStageOptions,
}

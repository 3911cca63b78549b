"""The options of the Swin encoder."""

import dataclasses

from rkd_jax.models.options.base import check_positive


@dataclasses.dataclass
class SwinOptions:
    """What every network with the Swin encoder has.

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

    def _check_encoder(self, where: str) -> None:
        check_positive(
            self, where, "feature_size", "depths", "num_heads", "window_size"
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

"""The options of the networks for lesions; their classifier is in `classes`."""

import dataclasses
from collections.abc import Mapping

from rkd_jax.models.options.base import NetworkOptions, check_positive


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
        check_positive(self, where, "width", "lanes")


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

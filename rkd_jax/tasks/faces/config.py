"""Options of the landmarks task, and its data."""

import dataclasses
from typing import ClassVar

from rkd_jax.config import Config, DataConfig, choice, count, number
from rkd_jax.config.fields import check_choice
from rkd_jax.synthetic.faces.points import COUNT
from rkd_jax.tasks import networks
from rkd_jax.tasks.distillation import DistillationConfig


@dataclasses.dataclass
class FacesDataConfig(DataConfig):
    """Crops of faces with 98 points."""

    kind: str = choice("synthetic", "synthetic", "wflw", "tfds")
    # Side of a face's crop to the longer side of its box.
    box_scale: float = number(1.2, above=0)
    # Of `folds` parts of the list `val_split`, by image, train on all but part `fold`
    # and validate on it (wflw); -1: train on `train_split`, validate on `val_split`.
    fold: int = count(-1, least=-1)
    folds: int = count(5, least=2)

    def check(self) -> None:
        """Check what fields must be together; see `DataConfig.check`."""
        DataConfig.check(self)
        if self.fold >= 0 and self.kind != "wflw":
            raise ValueError(
                f"config.data.fold is {self.fold}, but only data.kind 'wflw' has folds"
            )
        if self.fold >= self.folds:
            raise ValueError(
                f"config.data.fold is {self.fold} of {self.folds} folds; expected -1 "
                "(none) or 0 up to folds - 1"
            )


@dataclasses.dataclass
class FacesConfig(DistillationConfig):
    """Losses and augmentation of the 98 points of a face."""

    DATA: ClassVar[type[DataConfig]] = FacesDataConfig
    name: str = "landmarks"
    # Spread of a point's Gaussian in the target heatmap, pixels of the crop.
    sigma_px: float = number(1.5, above=0)
    # Divides the logits before the softmax over pixels; small: peaks form early.
    temperature: float = number(0.2, above=0)
    # Weights of the squared errors: of the heatmaps (peak 1), averaged over a window of
    # the Gaussian's size, and of the decoded points, in units of sigma.
    heatmap_weight: float = number(1.0, least=0)
    point_weight: float = number(0.1, least=0)
    # Weight of the same errors to the teacher (the poster's lambda).
    distillation_weight: float = number(1.0, least=0)
    # Random geometry: none, or a preset of `rkd_jax.augment.GEOMETRY_PRESETS`.
    geometry: str = "face"
    light: str = choice("face", "face", "none")
    # Mirror half of the faces.
    flip: bool = True

    def check(self, config: Config) -> None:
        """Check what must be together; see `TaskConfig.check`."""
        from rkd_jax.augment import GEOMETRY_PRESETS

        known = ("none", *GEOMETRY_PRESETS)
        check_choice("config.task.geometry", self.geometry, known)
        for field, network in self.networks(config).items():
            networks.check(network, field, out_channels=COUNT, task=self.name)
            if network.descriptor_dim != 0:
                raise ValueError(
                    f"config.{field}.descriptor_dim must be 0 for the task "
                    f"{self.name!r}; it is {network.descriptor_dim}"
                )
        if not max(self.heatmap_weight, self.point_weight) > 0:
            raise ValueError(
                "config.task.heatmap_weight and config.task.point_weight are both 0; "
                "at least one must be positive"
            )

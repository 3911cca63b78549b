"""Options of the retina task: what each field may be, and what fits together."""

import dataclasses
from typing import ClassVar, Self

from rkd_jax.config import Config, DataConfig, Section, choice, count, number
from rkd_jax.config.fields import check_choice
from rkd_jax.tasks import networks
from rkd_jax.tasks.distillation import DistillationConfig
from rkd_jax.tasks.photographs import PhotographsConfig


@dataclasses.dataclass
class PretrainConfig(Section):
    """Self-supervised pre-training of the Swin encoder, before the student.

    It is a run of the task `pretraining`, whose options have the same names.
    """

    # 0: none.
    steps: int = count(0, earlier=True)
    lr: float = number(1e-4, above=0)
    mask_ratio: float = number(0.4, above=0, below=1)
    mask_size: int = count(16, least=1, largest=1024)


@dataclasses.dataclass
class RetinaConfig(DistillationConfig):
    """Detector, descriptor, keypoint expansion and distillation."""

    DATA: ClassVar[type[DataConfig]] = PhotographsConfig
    name: str = "retina"
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)
    # Held-out pairs: auto (of the data set, if it has any) | synthetic.
    eval_kind: str = choice("auto", "auto", "synthetic", free=True)
    # Random geometry of the detector image and of the descriptor image: presets of
    # `rkd_jax.augment.GEOMETRY_PRESETS`.
    detector_geometry: str = "detector"
    descriptor_geometry: str = "descriptor"
    # Bending of the descriptor image beyond that: none | retina.
    deformation: str = choice("none", "none", "retina")
    # paper: loader light on all, jitter on the descriptor image;
    # visit: independent hard light for every view; modality: visit, and each view may
    # be inverted (bright vessels) or hazy; none.
    light: str = choice("paper", "paper", "visit", "modality", "none")
    # Clip the light of "paper" into 0..1; upstream does not.
    clip_light: bool = True
    # Epoch from which keypoints expand (PKE); -1 never.
    pke_start_epoch: int = count(1, least=-1)
    # Keypoints of a training image, at most.
    max_keypoints: int = count(256, least=1, largest=2**16)
    # Suppression radius, threshold and border of training keypoints, pixels.
    nms_radius: int = count(10, largest=1024)
    nms_method: str = choice("one_round", "one_round", "two_round")
    threshold: float = number(0.1, least=0, largest=1)
    border: int = count(8, largest=1024)
    # The same for the points of the distillation term.
    teacher_nms_radius: int = count(10, largest=1024)
    teacher_threshold: float = number(0.1, least=0, largest=1)
    # Further descriptor points drawn where the image has structure.
    texture_points: int = count(0, largest=2**16)
    # How descriptor maps are read: aligned | upstream; see docs/paper/specification.md,
    # quirk 19.
    descriptor_grid: str = choice("aligned", "aligned", "upstream")
    # Dice of each image (true) or over the whole batch, as upstream (false).
    dice_per_example: bool = True
    # Leave what the detector warp cannot see out of the geometric Dice term.
    mask_geometric: bool = True
    # Keypoints on the fundus only, not on the black margin and its rim.
    mask_field: bool = True
    # Keypoint expansion: ours, or with the constants and quirks of one of the authors'
    # codes (rkd, superretina), wrap-around included.
    expansion: str = choice("ours", "ours", "rkd", "superretina")
    # Run the network without dropout on the warped view that expansion reads (its
    # raw view is that of the training pass).
    deterministic_expansion: bool = True
    descriptor_loss: str = choice("triplet", "triplet", "infonce", "triplet+infonce")
    margin: float = number(0.8, least=0, largest=4)
    gor_weight: float = number(1.0, least=0)
    infonce_temperature: float = number(0.07, above=0)
    # Negatives of InfoNCE nearer than this are left out, pixels.
    infonce_exclude_radius: float = number(5.0, least=0)
    # Weights of the terms.
    detector_weight: float = number(1.0, least=0)
    descriptor_weight: float = number(1.0, least=0)
    heatmap_distillation_weight: float = number(1.0, least=0)
    descriptor_distillation_weight: float = number(1.0, least=0)

    def check(self, config: Config) -> None:
        """Check what must be together; see `TaskConfig.check`."""
        from rkd_jax.augment import GEOMETRY_PRESETS

        for field in ("detector_geometry", "descriptor_geometry"):
            check_choice(f"config.task.{field}", getattr(self, field), GEOMETRY_PRESETS)
        used = self.networks(config)
        for field, network in used.items():
            networks.check(network, field, out_channels=1, task=self.name)
            if network.descriptor_dim < 1:
                raise ValueError(
                    f"config.{field}.descriptor_dim must be at least 1 for the task "
                    f"{self.name!r}; it is {network.descriptor_dim}"
                )
        dims = [network.descriptor_dim for network in used.values()]
        if len(set(dims)) > 1:
            raise ValueError(
                "the student's descriptors are compared with its teacher's: "
                "config.model.descriptor_dim and "
                "config.task.teacher.model.descriptor_dim must be equal; they are "
                + " and ".join(map(str, dims))
            )
        if self.pretrain.steps:
            networks.check_pretrained(config.model)
            if config.init_weights:
                raise ValueError(
                    "config.init_weights is given and config.task.pretrain.steps is "
                    f"{self.pretrain.steps}; the encoder starts from one of them: drop "
                    "config.init_weights, or set config.task.pretrain.steps=0"
                )

    def alone(self) -> Self:
        """Return a copy without teacher and without further runs."""
        alone = DistillationConfig.alone(self)
        alone.pretrain.steps = 0
        return alone

"""Options of the lesions task, its data and its networks."""

import dataclasses
from typing import ClassVar

from rkd_jax import models
from rkd_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    Section,
    TaskConfig,
    WeightsFile,
    choice,
    count,
    number,
    path,
)
from rkd_jax.data.lesion_folders import LESIONS
from rkd_jax.tasks import networks

PARTS = ("full", "half")
"""The proposal networks."""


@dataclasses.dataclass
class ProposalModel(ModelConfig):
    """A segmentation network that proposes lesions."""

    name: str = "frrn"
    # Channels at full resolution, and of the residual stream (frrn).
    width: int = 48
    lanes: int = 32


@dataclasses.dataclass
class PatchesModel(ModelConfig):
    """A network that judges patches."""

    name: str = "resnet"
    # Classes: no lesion, lesion.
    out_channels: int = 2
    # Channels and blocks of the stages, the kind of block, and pooling after the
    # first convolution (resnet).
    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    bottleneck: bool = True
    stem_pool: bool = False


@dataclasses.dataclass
class LesionsModel(ModelConfig):
    """The two proposal networks, which are alike, and the classifier."""

    name: str = "two_stage"
    proposal: ModelConfig = dataclasses.field(default_factory=ProposalModel)
    patches: ModelConfig = dataclasses.field(default_factory=PatchesModel)


@dataclasses.dataclass
class LesionsData(DataConfig):
    """Photographs with masks of one kind of lesion."""

    # synthetic: drawn eyes | idrid: its folder "A. Segmentation" | folder: photographs
    # in data_dir, masks in masks_dir | tfds: `idrid_segmentation`, prepared.
    kind: str = choice("synthetic", "synthetic", "idrid", "folder", "tfds")
    lesion: str = choice("microaneurysms", *LESIONS)
    # Folder of masks, and the end of their names (folder).
    masks_dir: str = path(free=True)
    suffix: str = ""
    # Folder of further photographs, without any lesion; empty: none.
    healthy_dir: str = path(free=True)
    # Every so-manieth photograph, by name, is held out; 0: none. Drawn eyes to be
    # scored are others than those trained on.
    hold_out_every: int = count(5)
    # Diameter of the field of view at full scale, pixels.
    size: int = count(3450, least=64)
    # Contrast: gain times the difference to the mean within about sigma pixels.
    sigma_px: float = number(10.0, above=0)
    gain: float = number(4.0, above=0)

    def check(self) -> None:
        """Check what fields must be together; see `DataConfig.check`."""
        DataConfig.check(self)
        if self.kind == "folder" and not self.masks_dir:
            raise ValueError(
                "config.data.kind is 'folder' but config.data.masks_dir is empty; give "
                "the folder of masks with --config.data.masks_dir=DIR"
            )
        if self.hold_out_every == 1:
            raise ValueError(
                "config.data.hold_out_every is 1: every photograph would be held out; "
                "choose 0 (none), 2 or more"
            )
        if self.crop:
            raise ValueError(
                f"config.data.crop is {self.crop}; this task has "
                "config.task.proposals.crop and config.task.patch_px: leave it 0"
            )


@dataclasses.dataclass
class TeacherModel(Section):
    """A frozen network that the proposal networks follow."""

    # Weights files of networks for the full and the half scale; empty: trained first,
    # in `<workdir>/teacher_full` and `<workdir>/teacher_half`.
    full: str = path()
    half: str = path()
    model: ModelConfig = dataclasses.field(default_factory=ProposalModel)
    # Steps and learning rate of that training.
    steps: int = count(10_000, least=1, earlier=True)
    lr: float = number(1e-4, above=0)


@dataclasses.dataclass
class ProposalsConfig(Section):
    """Training of the proposal networks; what is not here is as for the classifier."""

    # Weights files of networks that are trained already; empty: trained first, in
    # `<workdir>/full` and `<workdir>/half`.
    full: str = path()
    half: str = path()
    # Steps, learning rates and crops of a global batch; 10 crops, as published.
    steps: int = count(10_000, least=1, earlier=True)
    lr: float = number(1e-4, above=0)
    half_lr: float = number(1e-4, above=0)
    batch_size: int = count(10, least=1)
    # Side of the crops, pixels: a multiple of 16.
    crop: int = count(256, least=16)
    # Share of crops with a lesion, and largest weight of a lesion's pixel.
    lesion_share: float = number(0.5, above=0, below=1)
    largest_weight: float = number(100.0, least=1)
    # Weights of the cross-entropy and of the squared Dice.
    ce_weight: float = number(1.0, least=0)
    dice_weight: float = number(1.0, least=0)
    # Follow a frozen teacher by the squared Dice between the two maps, with a weight.
    distill: bool = False
    teacher_weight: float = number(1.0, above=0)
    teacher: TeacherModel = dataclasses.field(default_factory=TeacherModel)


@dataclasses.dataclass
class LesionsConfig(TaskConfig):
    """Proposals, then a classifier of patches with a triplet loss."""

    DATA: ClassVar[type[DataConfig]] = LesionsData
    name: str = "lesions"
    # all: the whole experiment | full, half: one proposal network alone, as the whole
    # experiment trains it.
    part: str = choice("all", "all", *PARTS)
    proposals: ProposalsConfig = dataclasses.field(default_factory=ProposalsConfig)
    # What is no lesion. healthy: in photographs without lesions only, as published, so
    # that a lesion that nobody marked does no harm | all: the rest of each photograph.
    negatives: str = choice("all", "all", "healthy")
    # Side of the classifier's patches, at full scale: even.
    patch_px: int = count(64, least=8)
    # Patches that are drawn of each lesion, and of all that is no lesion.
    patches_per_lesion: int = count(16, least=1)
    negative_patches: int = count(20_000, least=1)
    # Share of those that lie where the proposal networks find something.
    hard_share: float = number(0.0, least=0, largest=1)
    # Triplet loss: its weight, 0 is cross-entropy alone; margin; distance.
    triplet_weight: float = number(1.0, least=0)
    margin: float = number(0.1, least=0)
    distance: str = choice("angular", "angular", "cosine", "l2")
    # Draw patches without lesion by their last loss, anew after so many batches.
    selective: bool = True
    round_batches: int = count(500, least=1)
    # Train the classifier without triplet loss as well, in `<workdir>/cls`.
    compare_cls: bool = False
    # How the detector uses the networks; see `lesions.settings.DetectorSettings`.
    region_threshold: float = number(0.1, least=0, below=1)
    stride: int = count(2, least=1)
    fusion: str = "refined_geometric"
    classifier_weight: float = number(0.5, least=0, largest=1)
    threshold: float = number(0.5, above=0, largest=1)
    rim: float = number(0.01, least=0, below=0.25)

    def check(self, config: Config) -> None:
        """Check what must be together; see `TaskConfig.check`."""
        from rkd_jax.lesions.fusion import check_fusion

        check_fusion(self.fusion)
        if self.part == "all":
            LesionsConfig.model(config)
        _check_model(config.model)
        if self.patch_px % 2:
            raise ValueError(
                f"config.task.patch_px must be even; it is {self.patch_px}"
            )
        if self.part == "all" and config.data.batch_size % 3:
            raise ValueError(
                "config.data.batch_size must be a multiple of 3, the patches of a "
                f"triplet; it is {config.data.batch_size}"
            )
        if self.proposals.crop % 16:
            raise ValueError(
                "config.task.proposals.crop must be a multiple of 16; it is "
                f"{self.proposals.crop}"
            )
        if not max(self.proposals.ce_weight, self.proposals.dice_weight) > 0:
            raise ValueError(
                "config.task.proposals.ce_weight and dice_weight are both 0; at least "
                "one must be positive"
            )
        if self.proposals.distill:
            field = "task.proposals.teacher.model"
            networks.check_options(self.proposals.teacher.model, field)
            _check_proposal(self.proposals.teacher.model, field)

    def weights_files(self, config: Config) -> dict[str, WeightsFile]:
        """Return the files of `TaskConfig.weights_files`, and those of each part."""
        files = TaskConfig.weights_files(self, config)
        proposals = self.proposals
        if self.part == "all":
            model = LesionsConfig.model(config).proposal
            for part in PARTS:
                files[part] = WeightsFile(getattr(proposals, part), model)
        elif proposals.distill:
            teacher = proposals.teacher
            files["teacher"] = WeightsFile(getattr(teacher, self.part), teacher.model)
        return files

    @staticmethod
    def model(config: Config) -> LesionsModel:
        """Return the networks of an experiment.

        Raises:
            ValueError: they are of another class.
        """
        if not isinstance(config.model, LesionsModel):
            raise ValueError(
                f"config.model is a {type(config.model).__name__}; the task 'lesions' "
                "needs a rkd_jax.tasks.lesions.LesionsModel"
            )
        return config.model


def _check_model(model: ModelConfig) -> None:
    networks.check_options(model, "model")
    if isinstance(model, LesionsModel):
        if model.name != "two_stage":
            raise ValueError(
                f"config.model.name must be 'two_stage'; it is {model.name!r}: a "
                "network of your own goes into config.model.proposal.name or "
                "config.model.patches.name"
            )
        _check_proposal(model.proposal, "model.proposal")
        if model.patches.out_channels != 2:
            raise ValueError(
                "config.model.patches.out_channels must be 2; it is "
                f"{model.patches.out_channels}"
            )
    else:
        _check_proposal(model, "model")


def _check_proposal(model: ModelConfig, field: str) -> None:
    if model.out_channels != 1:
        raise ValueError(
            f"config.{field}.out_channels must be 1; it is {model.out_channels}"
        )
    network = models.build(model.name, **networks.options(model))
    if model.name == "two_stage" or not hasattr(network, "reach"):
        raise ValueError(
            f"config.{field}.name is {model.name!r}; expected a segmentation network "
            "with the method reach(), such as 'frrn'"
        )

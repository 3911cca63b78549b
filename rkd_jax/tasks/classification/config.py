"""Options of the classification task, its data and its networks."""

import dataclasses
from typing import ClassVar, Self

from rkd_jax import models
from rkd_jax.config import (
    Config,
    DataConfig,
    ModelConfig,
    WeightsFile,
    choice,
    count,
    number,
    path,
)
from rkd_jax.tasks import networks
from rkd_jax.tasks.distillation import DistillationConfig, TeacherConfig

KINDS = (
    *("synthetic", "table", "folders", "medmnist", "tfds"),
    *("ham10000", "aptos2019", "idrid", "eyepacs"),
)
"""What `config.data.kind` may be: drawn eyes, general layouts, published ones."""
TERMS = ("prediction_weight", "contrast_weight", "relation_weight")
"""Weights of the terms that follow a teacher, in the order of the rows."""


@dataclasses.dataclass
class ClassifierModel(ModelConfig):
    """A network for classes; it takes those options that it has."""

    # small_cnn | resnet | densenet | swin_classifier; or package.module:Class.
    name: str = "densenet"
    # One output a class.
    out_channels: int = 5
    # Channels of the layer before the logits, which are compared; 0: no such layer.
    embedding_dim: int = 128
    # Channels of the convolutions (small_cnn).
    channels: tuple[int, ...] = (16, 32, 64, 128)
    # Channels that a layer adds, layers of a block, channels of the first convolution,
    # and of a bottleneck in growths (densenet).
    growth: int = 32
    blocks: tuple[int, ...] = (6, 12, 24, 16)
    stem: int = 64
    bn_size: int = 4
    # Channels and blocks of the stages, the kind of block, and pooling after the first
    # convolution (resnet). These are of ResNet-18.
    widths: tuple[int, ...] = (64, 128, 256, 512)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    stem_pool: bool = True
    # Dropout (swin_classifier).
    drop_rate: float = 0.0


@dataclasses.dataclass
class ClassificationData(DataConfig):
    """Images with one class each."""

    kind: str = choice("synthetic", *KINDS)
    # CSV file with the classes (table), and its columns; empty: the column "group" or
    # "fold" if there is one.
    table: str = path(free=True)
    image_column: str = "image"
    class_column: str = "class"
    group_column: str = ""
    fold_column: str = ""
    # Prepared data set (tfds).
    name: str = ""
    # Names of the classes in order; empty: as the data set has them.
    classes: tuple[str, ...] = ()
    # A class is more than those before it (table, folders, medmnist).
    ordered: bool = False
    # Side of the square that the network takes, pixels.
    size: int = count(224, least=16)
    # Cut images to the camera's field first.
    crop_field: bool = False
    # Of the channels, in 0..1: those of ImageNet.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    # Shares of training, validation and test, divided by group; published folds stay,
    # and a part that they lack is taken from their training part.
    shares: tuple[int, ...] = (7, 1, 2)
    # Cross-validation: this many folds, of which this one is the test; 0: none.
    folds: int = count(0)
    fold: int = count(0)
    # Of the division, and of drawn eyes.
    split_seed: int = count(0)

    def check(self) -> None:
        """Check what fields must be together; see `DataConfig.check`."""
        DataConfig.check(self)
        needed = {"table": "table", "tfds": "name"}.get(self.kind, "")
        if needed and not getattr(self, needed):
            raise ValueError(
                f"config.data.kind is {self.kind!r} but config.data.{needed} is empty; "
                f"give it with --config.data.{needed}="
            )
        if len(self.shares) != 3 or min(self.shares) < 1:
            raise ValueError(
                f"config.data.shares is {self.shares}; expected three whole numbers "
                "above 0: of training, validation and test"
            )
        if self.folds == 1 or (self.folds and self.fold >= self.folds):
            raise ValueError(
                f"config.data.folds is {self.folds} and config.data.fold is "
                f"{self.fold}; expected at least 2 folds, and one below them (0 folds: "
                "no cross-validation)"
            )
        for name in ("mean", "std"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"config.data.{name} must have three numbers")
        if min(self.std) <= 0:
            raise ValueError("config.data.std must be positive")
        if self.crop:
            raise ValueError(
                f"config.data.crop is {self.crop}; this task takes whole images of "
                "config.data.size: leave it 0"
            )


@dataclasses.dataclass
class ClassificationConfig(DistillationConfig):
    """Classes by cross-entropy, and three terms that follow a teacher.

    The teacher is the moving average of the student, or with `distill` a frozen
    network.
    """

    DATA: ClassVar[type[DataConfig]] = ClassificationData
    name: str = "classification"
    teacher: TeacherConfig = dataclasses.field(
        default_factory=lambda: TeacherConfig(model=ClassifierModel())
    )
    # Weigh a class by all images to images of the class: of the training part, or of
    # all parts as the authors' code does; none: all classes alike.
    class_weights: str = choice("train", "train", "all", "none")
    # Weight of the teacher's prediction; which rises over epochs.
    prediction_weight: float = number(1.0, least=0)
    ramp_epochs: int = count(30)
    # Weight of the contrast with rows of the banks.
    contrast_weight: float = number(0.1, least=0)
    # Weight of the relations to the classes.
    relation_weight: float = number(1.0, least=0)
    # Epoch, from 0, at which the teacher's prediction and the relations begin to count.
    start_epoch: int = count(20)
    # Temperatures of the three terms.
    prediction_temperature: float = number(1.0, above=0)
    contrast_temperature: float = number(0.07, above=0.012)
    relation_temperature: float = number(0.07, above=0)
    # Rows of the banks that an image is compared with: of its class, of other classes.
    positives: int = count(20, least=1)
    negatives: int = count(4096, least=1)
    # Length of the compared embeddings, and the share of a row of a bank that stays.
    embed_dim: int = count(128, least=1)
    bank_momentum: float = number(0.5, least=0, below=1)
    # Negative numbers of a row count as 0 in the mean of its class.
    relu_anchors: bool = True
    # Relations are to the mean of each class (0), or to this many rows of each, drawn
    # with replacement.
    anchor_rows: int = count(0)
    # The moving average keeps this share a step, less in the first steps.
    average_decay: float = number(0.99, least=0, below=1)
    # What the teacher normalizes by: the averaged statistics, or those of its batch.
    teacher_statistics: str = choice("average", "average", "batch")
    # Negatives are of other classes, or any rows but the image's own.
    negatives_from: str = choice("others", "others", "all")
    # Multiply the contrast by its weight once more from `start_epoch` on, as the
    # authors' code does.
    double_weight: bool = False
    # Train with fewer terms, too, in `<workdir>/ce`, `mt` and `ccd`, and all with so
    # many seeds.
    compare_terms: bool = False
    seeds: int = count(1, least=1)

    @property
    def follows(self) -> bool:
        """Whether any term needs a teacher."""
        return any(getattr(self, term) > 0 for term in TERMS)

    @property
    def has_banks(self) -> bool:
        """Whether any term needs the banks."""
        return max(self.contrast_weight, self.relation_weight) > 0

    def weights_files(self, config: Config) -> dict[str, WeightsFile]:
        """Return the files of `DistillationConfig.weights_files`.

        A run may start from a network for other classes: its head may differ.
        """
        files = super().weights_files(config)
        start = files["start"]
        return files | {"start": start._replace(free=("out_channels", "embedding_dim"))}

    def alone(self) -> Self:
        """Return a copy without any teacher: cross-entropy alone."""
        found = super().alone()
        found.keep_terms(0)
        return found

    def keep_terms(self, count: int) -> None:
        """Leave out all terms that follow a teacher but the first ones of `TERMS`."""
        for term in TERMS[count:]:
            setattr(self, term, 0.0)

    def check(self, config: Config) -> None:
        """Check what must be together; see `TaskConfig.check`."""
        for field, network in self.networks(config).items():
            networks.check_options(network, field)
            models.check_class_answer(
                network.name, networks.build(network), f"config.{field}"
            )
        if self.distill:
            if self.compare_terms:
                raise ValueError(
                    "config.task.distill and config.task.compare_terms are both True; "
                    "rows with fewer terms are of a teacher that is the student's "
                    "average: set one of them False"
                )
            if not self.follows:
                raise ValueError(
                    "config.task.distill is True, but the weights of all three terms "
                    "are 0: the teacher would do nothing"
                )
            ours, theirs = config.model.out_channels, self.teacher.model.out_channels
            if ours != theirs:
                raise ValueError(
                    f"config.task.teacher.model.out_channels is {theirs} and "
                    f"config.model.out_channels {ours}; both must be the classes"
                )
        if config.data.labeled_share:
            raise ValueError(
                f"config.data.labeled_share is {config.data.labeled_share}; all images "
                "of this task have a class: set it 0"
            )
        if config.optim.ema_decay:
            raise ValueError(
                f"config.optim.ema_decay is {config.optim.ema_decay}; this task keeps "
                "an average of its own: set it 0, and config.task.average_decay"
            )

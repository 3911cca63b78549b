"""The schema of an experiment: nested dataclasses, a comment a field.

What is learned, and on which kind of data, has classes of its own in the packages of
`rkd_jax.tasks`.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from rkd_jax.config.fields import Section, choice, count, number, path

Kind = TypeVar("Kind")


@dataclasses.dataclass
class ModelConfig(Section):
    """A network of `rkd_jax.models` and its options; it takes those that it has.

    `rkd_jax.models.options` has the ranges. A subclass may add options of a network of
    your own.
    """

    # For keypoints superretina | large_kernel | swin_unetr; for classes densenet |
    # resnet | small_cnn | swin_classifier; for lesions frrn | two_stage; or
    # package.module:Class.
    name: str = "superretina"
    # Heatmaps an image: 1 for keypoints, 98 for the points of a face; or classes.
    out_channels: int = 1
    # Arithmetic of the layers; parameters, norms and outputs stay float32.
    compute_dtype: str = "float32"
    # Channels of the descriptor map; 0 (landmarks) builds none.
    descriptor_dim: int = 256
    # Channels of the four encoder stages (superretina, large_kernel).
    widths: tuple[int, ...] = (64, 64, 128, 128)
    # Parallel kernels of an encoder stage (large_kernel).
    kernels: tuple[int, ...] = (1, 3, 5)
    # Normalization before activations (CNNs, descriptor heads): none | instance.
    norm: str = "none"
    # Width of the first stage (swin_unetr, swin_classifier); a multiple of 12.
    feature_size: int = 24
    # Side of an attention window in tokens (swin_unetr, swin_classifier).
    window_size: int = 7
    # Dropout of embeddings, attention projections and MLPs (swin_unetr,
    # swin_classifier).
    drop_rate: float = 0.5


@dataclasses.dataclass
class DataConfig(Section):
    """Which examples are read, and how they are batched; tasks add fields.

    A subclass restricts `kind` to what its task can read.
    """

    kind: str = "synthetic"
    # Root of the data set; not used by synthetic data.
    data_dir: str = path(free=True)
    # Split file (superretina), list (wflw) or split (tfds): training, validation.
    train_split: str = "train"
    val_split: str = "val"
    # Longest side of an image as it is trained on, pixels.
    size: int = count(768, least=64)
    # Side of the random training crops, or of the views of a face, which begin at the
    # middle of the stored crop; pixels; 0 takes the whole image.
    crop: int = 0
    # Synthetic images: labeled, and further ones without labels.
    synthetic_labeled: int = count(64)
    synthetic_unlabeled: int = count(64)
    # Share of labeled images among those drawn; 0: every image equally often.
    labeled_share: float = number(0.0, least=0, below=1)
    # Images of a global batch.
    batch_size: int = count(4, least=1)
    # Reading threads a process, and memory for preprocessed images a process, MiB.
    num_threads: int = count(4, largest=1024, free=True)
    cache_mb: int = count(4096, free=True)

    @classmethod
    def of(cls, config: "Config") -> Self:
        """Return the data of a config, if they are of this class.

        Raises:
            TypeError: they are of another class.
        """
        return _instance("data", config.data, cls)

    def check(self) -> None:
        """Check what fields must be together.

        Raises:
            ValueError: names a field.
        """
        if self.kind != "synthetic" and not self.data_dir:
            raise ValueError(
                f"config.data.kind is {self.kind!r} but config.data.data_dir is empty; "
                "give the folder with --config.data.data_dir=DIR"
            )
        if self.kind == "synthetic" and not (
            self.synthetic_labeled + self.synthetic_unlabeled
        ):
            raise ValueError(
                "config.data.synthetic_labeled and config.data.synthetic_unlabeled are "
                "both 0; at least one image is needed"
            )
        if self.crop and not 64 <= self.crop <= self.size:
            raise ValueError(
                f"config.data.crop must be 0 or from 64 to data.size ({self.size}); "
                f"it is {self.crop}"
            )


@dataclasses.dataclass
class OptimConfig(Section):
    """Adam and its learning rate."""

    lr: float = number(1e-4, above=0)
    # constant | cosine: to zero | onecycle: up in 30 % of the steps, then down | step.
    schedule: str = choice("constant", "constant", "cosine", "onecycle", "step")
    warmup_steps: int = count(0)
    # Shares of the run at which the rate is multiplied by the factor (step).
    drop_at: tuple[float, ...] = (2 / 3,)
    drop_factor: float = number(0.1, above=0)
    weight_decay: float = number(0.0, least=0)
    # decoupled: AdamW | l2: part of the gradient, as in PyTorch's Adam.
    decay_kind: str = choice("decoupled", "decoupled", "l2")
    # Global gradient norm is cut to this; 0 does not cut.
    clip_norm: float = number(0.0, least=0)
    # Regular expression of the paths of the parameters that are trained, such as
    # "^head/"; empty: all.
    trainable: str = dataclasses.field(default="", metadata={"path": False})
    # Decay of the moving average of the parameters that is evaluated; 0 is off. A task
    # with an average of its own takes none.
    ema_decay: float = number(0.0, least=0, below=1)


@dataclasses.dataclass
class LoopConfig(Section):
    """Length of a run and what happens along it, in steps."""

    steps: int = count(10_000, least=1)
    log_every: int = count(20, least=1, free=True)
    # 0: only at the end.
    eval_every: int = count(1000, free=True)
    checkpoint_every: int = count(500, least=1, free=True)
    # Checkpoints kept.
    keep: int = count(2, least=1, free=True)
    # Held-out pairs (retina), images or faces of an evaluation; 0: none.
    eval_pairs: int = count(24, free=True)


class WeightsFile(NamedTuple):
    """A weights file that an experiment may name.

    Attributes:
        path: of the file, or the name of a packaged one; empty: none is named.
        model: the network that it must hold.
        free: options of the network in which it may differ.
    """

    path: str
    model: ModelConfig
    free: tuple[str, ...] = ()


@dataclasses.dataclass
class TaskConfig(Section):
    """What is learned; subclassed in `tasks/<task>/config.py`.

    Attributes:
        DATA: the class of `config.data` that the task reads.
    """

    DATA: ClassVar[type[DataConfig]] = DataConfig
    # A key of `rkd_jax.tasks.TASKS`; it belongs to the class.
    name: str = ""

    @classmethod
    def of(cls, config: "Config") -> Self:
        """Return the task of a config, if it is of this class.

        Raises:
            TypeError: it is of another class.
        """
        return _instance("task", config.task, cls)

    def check(self, config: "Config") -> None:
        """Check what fields of the task and of the whole config must be together.

        Raises:
            ValueError: names a field.
        """

    def weights_files(self, config: "Config") -> dict[str, WeightsFile]:
        """Return the weights that the networks of a config may begin with, by role.

        The role `start` is what the trained network starts from, `teacher` the frozen
        network that the loss gets; a task may have others.
        """
        return {"start": WeightsFile(config.init_weights, config.model)}


@dataclasses.dataclass
class Config(Section):
    """An experiment.

    Args:
        task: an instance of a task's own class, such as
            `rkd_jax.tasks.retina.RetinaConfig`.
        data: of the class that the task reads; by default that class's defaults.
    """

    task: TaskConfig
    seed: int = count(0)
    # Start from the parameters of this weights file, or of a packaged name.
    init_weights: str = path()
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default=None)  # type: ignore[assignment]
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)

    def __post_init__(self) -> None:
        if self.data is None:
            self.data = self.task.DATA()

    def validate(self) -> "Config":
        """Check every field after overrides.

        Returns:
            The config itself.

        Raises:
            ValueError: names the field, what it may be and what it is.
        """
        task = self.task
        own = type(task)().name
        if task.name != own:
            raise ValueError(
                f"config.task.name is {task.name!r}; a config's task is the class of "
                f"config.task, {type(task).__name__}: leave the name {own!r}, or use "
                "an experiment of the other task"
            )
        if not isinstance(self.data, task.DATA):
            raise ValueError(
                f"config.data is a {type(self.data).__name__}; the task {own!r} reads "
                f"a {task.DATA.__name__}"
            )
        self.check_fields("")
        self.data.check()
        task.check(self)
        return self


def _instance(field: str, value: Any, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(
            f"config.{field} is a {type(value).__name__}; expected a {kind.__name__}"
        )
    return value

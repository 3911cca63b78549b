"""The one schema of an experiment: nested dataclasses, and the checks on them.

A file in `configs/` returns a `Config`; flags override single fields
(`--config.optim.lr=3e-4`); `validate` then checks the whole and names the field
that is wrong. The config stops at the doors: models, losses and data take plain
keyword arguments.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

GEOMETRIES = (
    "upstream_detector",
    "upstream_descriptor",
    "detector",
    "descriptor",
    "visit",
    "wide",
    "face",
)
LANDMARKS = 98  # points of a face, WFLW's


@dataclasses.dataclass
class ModelConfig:
    """A network of `rkd_jax.models` and its options."""

    # superretina | large_kernel | swin_unetr
    name: str = "superretina"
    # Heatmaps an image: 1 for keypoints, 98 for the points of a face.
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
    # Width of the first stage (swin_unetr); a multiple of 12.
    feature_size: int = 24
    # Dropout of embeddings, attention projections and MLPs (swin_unetr).
    drop_rate: float = 0.5

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of `rkd_jax.models.build` for this network."""
        common = {
            "out_channels": self.out_channels,
            "compute_dtype": self.compute_dtype,
            "descriptor_dim": self.descriptor_dim,
        }
        own = {
            "superretina": {"widths": tuple(self.widths), "norm": self.norm},
            "large_kernel": {
                "widths": tuple(self.widths),
                "norm": self.norm,
                "kernels": tuple(self.kernels),
            },
            "swin_unetr": {
                "feature_size": self.feature_size,
                "norm": self.norm,
                "drop_rate": self.drop_rate,
            },
        }
        return {**common, **own[self.name]}


@dataclasses.dataclass
class DataConfig:
    """Which images are read, and how they are batched."""

    # embedded | lab | folder | tfds; for landmarks embedded | wflw | tfds
    kind: str = "embedded"
    # Root of the data set (lab, folder, tfds, wflw).
    data_dir: str = ""
    # Name of the prepared TFDS data set (tfds).
    tfds_name: str = ""
    # Folder of further images without labels (lab).
    auxiliary_dir: str = ""
    # Leave out listed samples whose files are missing, with a warning (lab).
    skip_missing: bool = False
    # Split file (lab), list (wflw) or split (tfds) for training, and for validation.
    train_split: str = "train"
    val_split: str = "val"
    # Longest side of an image as it is trained on, pixels.
    size: int = 768
    # Side of the random training crops, pixels; 0 takes the whole image.
    crop: int = 0
    # Cut images to the field of view before resizing.
    crop_field: bool = True
    # fit: keep the aspect and pad | stretch: make a square of any image, as upstream.
    resize_mode: str = "fit"
    # Rows of the padded keypoint array; more labels in an image are refused.
    max_labels: int = 512
    # Side of a face's crop to the longer side of its box (landmarks).
    box_scale: float = 1.2
    # Of `folds` parts of the list `val_split`, by image, train on all but part `fold`
    # and validate on it (wflw); -1: train on `train_split`, validate on `val_split`.
    fold: int = -1
    folds: int = 5
    # Embedded photographs or faces: labelled, and further ones without labels.
    embedded_labeled: int = 64
    embedded_unlabeled: int = 64
    # Share of labelled images among those drawn; 0: every image equally often.
    labeled_share: float = 0.0
    # Images of a global batch.
    batch_size: int = 4
    # Reading threads a process, and memory for preprocessed images a process, MiB.
    num_threads: int = 4
    cache_mb: int = 4096


@dataclasses.dataclass
class LandmarkConfig:
    """Losses and augmentation of the landmarks task."""

    # Spread of a point's Gaussian in the target heatmap, pixels of the crop.
    sigma_px: float = 1.5
    # Divides the logits before the softmax over pixels; small: peaks form early.
    temperature: float = 0.2
    # Weights of the squared errors: of the heatmaps (peak 1), averaged over a window of
    # the Gaussian's size, and of the decoded points, in units of sigma.
    heatmap_weight: float = 1.0
    point_weight: float = 0.1
    # Weight of the same errors to the teacher (the poster's lambda).
    distillation_weight: float = 1.0
    # Random geometry, light and mirroring of a face.
    geometry: str = "face"
    # face | none
    light: str = "face"
    flip: bool = True


@dataclasses.dataclass
class TaskConfig:
    """What is learnt; `name` says which of the fields below are read.

    retina: all but `landmarks`; pretraining: `mask_ratio` and `mask_size`; landmarks:
    `distill` and `landmarks`.
    """

    # retina | pretraining | landmarks
    name: str = "retina"
    # Of the points of a face.
    landmarks: LandmarkConfig = dataclasses.field(default_factory=LandmarkConfig)
    # Random geometry of the detector image and of the descriptor image.
    detector_geometry: str = "detector"
    descriptor_geometry: str = "descriptor"
    # Bending of the descriptor image beyond that: none | retina.
    deformation: str = "none"
    # paper: loader light on all, jitter on the descriptor image;
    # visit: independent hard light for every view; modality: visit, and each view may
    # be inverted (bright vessels) or hazy; none.
    light: str = "paper"
    # Clip the light of "paper" into 0..1; upstream does not.
    clip_light: bool = True
    # Epoch from which keypoints expand (PKE); -1 never.
    pke_start_epoch: int = 1
    # Keypoints of a training image, at most.
    max_keypoints: int = 256
    # Suppression radius, threshold and border of training keypoints, pixels.
    nms_radius: int = 10
    nms_method: str = "one_round"
    threshold: float = 0.1
    border: int = 8
    # The same for the points at which the teacher is followed.
    teacher_nms_radius: int = 10
    teacher_threshold: float = 0.1
    # Further descriptor points drawn where the image has structure.
    texture_points: int = 0
    # How descriptor maps are read: aligned | upstream (docs/specification.md §10.19).
    descriptor_grid: str = "aligned"
    # Dice of each image (true) or over the whole batch, as upstream (false).
    dice_per_example: bool = True
    # Leave what the detector warp cannot see out of the geometric Dice term.
    mask_geometric: bool = True
    # Keypoints on the fundus only, not on the black margin and its rim.
    mask_field: bool = True
    # Keypoint expansion: ours | rkd | superretina, the last two with the constants and
    # quirks of that code, wrap-around included.
    expansion: str = "ours"
    # Run the network without dropout on the warped view that expansion looks at (its
    # raw view is that of the training pass).
    deterministic_expansion: bool = True
    # triplet | infonce | triplet+infonce
    descriptor_loss: str = "triplet"
    margin: float = 0.8
    gor_weight: float = 1.0
    infonce_temperature: float = 0.07
    # Negatives of InfoNCE nearer than this are left out, pixels.
    infonce_exclude_radius: float = 5.0
    # Follow the frozen teacher (reverse knowledge distillation).
    distill: bool = False
    # Weights of the terms.
    detector_weight: float = 1.0
    descriptor_weight: float = 1.0
    heatmap_distillation_weight: float = 1.0
    descriptor_distillation_weight: float = 1.0
    # Share of the image hidden in masked-region pre-training (pretraining).
    mask_ratio: float = 0.4
    # Side of a masked square, pixels (pretraining).
    mask_size: int = 16


@dataclasses.dataclass
class OptimConfig:
    """Adam and its learning rate."""

    lr: float = 1e-4
    # constant | cosine
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    # Global gradient norm is cut to this; 0 does not cut.
    clip_norm: float = 0.0
    # Decay of the moving average of the parameters that is evaluated; 0 is off.
    ema_decay: float = 0.0


@dataclasses.dataclass
class LoopConfig:
    """Length of a run and what happens along it, in steps."""

    steps: int = 10_000
    log_every: int = 20
    # 0: only at the end.
    eval_every: int = 1000
    checkpoint_every: int = 500
    # Checkpoints kept.
    keep: int = 2
    # Held-out pairs (retina) or embedded faces (landmarks) of an evaluation; 0: none.
    eval_pairs: int = 24
    # Pair source of the evaluation: auto (as data.kind) | embedded.
    eval_kind: str = "auto"


@dataclasses.dataclass
class TeacherConfig:
    """The frozen network that is followed, and how it is come by."""

    # Weights file; empty: the teacher is trained first, in `<workdir>/teacher`.
    weights: str = ""
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    # Steps and learning rate of that training.
    steps: int = 10_000
    lr: float = 1e-4


@dataclasses.dataclass
class PretrainConfig:
    """Self-supervised pre-training of the Swin encoder, before the student."""

    # 0: none.
    steps: int = 0
    lr: float = 1e-4


@dataclasses.dataclass
class Config:
    """An experiment."""

    seed: int = 0
    # Start from the parameters of this weights file.
    init_weights: str = ""
    # Train the same student without teacher too, in `<workdir>/scratch`, and compare.
    compare_scratch: bool = False
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    task: TaskConfig = dataclasses.field(default_factory=TaskConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    loop: LoopConfig = dataclasses.field(default_factory=LoopConfig)
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)
    pretrain: PretrainConfig = dataclasses.field(default_factory=PretrainConfig)

    def validate(self) -> "Config":
        """Check every field after overrides.

        Returns:
            The config itself.

        Raises:
            ValueError: names the field, what it may be and what it is.
        """
        _one_of("task.name", self.task.name, ("retina", "pretraining", "landmarks"))
        _check_models(self)
        _check_data(self)
        _check_mix(self)
        _check_landmarks(self)
        _check_task(self)
        _check_numbers(self)
        return self


def as_dict(config: Config) -> dict[str, Any]:
    """Return the config as plain nested dicts (tuples become lists, as in JSON)."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, tuple | list):
            return [plain(v) for v in value]
        return value

    return plain(dataclasses.asdict(config))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `{"optim.lr": ...}` of nested dicts.

    >>> flatten({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Return one line a field in which two config dicts differ.

    >>> difference({"optim": {"lr": 1.0}}, {"optim": {"lr": 2.0}})
    ['optim.lr: 1.0 -> 2.0']
    """
    a, b = flatten(ours), flatten(theirs)
    return [
        f"{key}: {a.get(key, '(absent)')!r} -> {b.get(key, '(absent)')!r}"
        for key in sorted(a.keys() | b.keys())
        if key not in a or key not in b or a[key] != b[key]
    ]


def _one_of(field: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(
            f"config.{field} is {value!r}; it must be one of {', '.join(known)}"
        )


def _check_models(config: Config) -> None:
    for field, model in (
        ("model", config.model),
        ("teacher.model", config.teacher.model),
    ):
        names = ("superretina", "large_kernel", "swin_unetr")
        _one_of(f"{field}.name", model.name, names)
        _one_of(f"{field}.norm", model.norm, ("none", "instance"))
        _one_of(f"{field}.compute_dtype", model.compute_dtype, ("float32", "bfloat16"))
        if len(model.widths) != 4 or min(model.widths) < 1:
            raise ValueError(
                f"config.{field}.widths must be four positive channel counts; "
                f"it is {model.widths}"
            )
        if not model.kernels or any(k < 1 or k % 2 == 0 for k in model.kernels):
            raise ValueError(
                f"config.{field}.kernels must be odd sizes; it is {model.kernels}"
            )
        if model.feature_size < 12 or model.feature_size % 12:
            raise ValueError(
                f"config.{field}.feature_size must be a multiple of 12; "
                f"it is {model.feature_size}"
            )
        if not 0 <= model.drop_rate < 1:
            raise ValueError(
                f"config.{field}.drop_rate must be in [0, 1); it is {model.drop_rate}"
            )


def _check_data(config: Config) -> None:
    data = config.data
    _one_of("data.resize_mode", data.resize_mode, ("fit", "stretch"))
    kinds = ("embedded", "lab", "folder", "tfds")
    if config.task.name == "landmarks":
        kinds = ("embedded", "wflw", "tfds")
    _one_of("data.kind", data.kind, kinds)
    if data.kind != "embedded" and not data.data_dir:
        raise ValueError(
            f"config.data.kind is {data.kind!r} but config.data.data_dir is empty; "
            "give the folder with --config.data.data_dir=DIR"
        )
    if data.kind == "tfds" and not data.tfds_name and config.task.name != "landmarks":
        raise ValueError(
            "config.data.kind is 'tfds' but config.data.tfds_name is empty; "
            "give the name of the prepared data set"
        )
    if data.size < 64:
        raise ValueError(f"config.data.size must be at least 64; it is {data.size}")
    if data.crop and not 64 <= data.crop <= data.size:
        raise ValueError(
            f"config.data.crop must be 0 or from 64 to data.size ({data.size}); "
            f"it is {data.crop}"
        )


def _check_mix(config: Config) -> None:
    data = config.data
    if not 0 <= data.labeled_share < 1:
        raise ValueError(
            f"config.data.labeled_share must be in [0, 1); it is {data.labeled_share}"
        )


def _check_task(config: Config) -> None:
    task = config.task
    _one_of("task.detector_geometry", task.detector_geometry, GEOMETRIES)
    _one_of("task.descriptor_geometry", task.descriptor_geometry, GEOMETRIES)
    _one_of("task.deformation", task.deformation, ("none", "retina"))
    _one_of("task.light", task.light, ("paper", "visit", "modality", "none"))
    _one_of("task.expansion", task.expansion, ("ours", "rkd", "superretina"))
    _one_of("task.nms_method", task.nms_method, ("one_round", "two_round"))
    _one_of("task.descriptor_grid", task.descriptor_grid, ("aligned", "upstream"))
    losses = ("triplet", "infonce", "triplet+infonce")
    _one_of("task.descriptor_loss", task.descriptor_loss, losses)
    _one_of("optim.schedule", config.optim.schedule, ("constant", "cosine"))
    _one_of("loop.eval_kind", config.loop.eval_kind, ("auto", "embedded"))
    if not 0 < task.mask_ratio < 1:
        raise ValueError(
            f"config.task.mask_ratio must be in (0, 1); it is {task.mask_ratio}"
        )
    if config.pretrain.steps and config.init_weights:
        raise ValueError(
            "config.init_weights is given and config.pretrain.steps is "
            f"{config.pretrain.steps}; the encoder starts from one of them: drop "
            "config.init_weights, or set config.pretrain.steps=0"
        )
    uses_swin = task.name == "pretraining" or config.pretrain.steps
    if uses_swin and config.model.name != "swin_unetr":
        raise ValueError(
            "pre-training is for the Swin encoder: config.model.name must be "
            f"'swin_unetr'; it is {config.model.name!r}"
        )
    dims = (config.model.descriptor_dim, config.teacher.model.descriptor_dim)
    if task.distill and dims[0] != dims[1]:
        raise ValueError(
            "the student is compared with its teacher's descriptors: "
            "config.model.descriptor_dim and config.teacher.model.descriptor_dim must "
            f"be equal; they are {dims[0]} and {dims[1]}"
        )


def _check_landmarks(config: Config) -> None:
    """Check what faces need, and that no task is given the fields of another."""
    task, data = config.task, config.data
    plain, default = dataclasses.asdict(task), dataclasses.asdict(TaskConfig())
    shared = ("name", "distill")
    if task.name != "landmarks":
        strange = {"task": ["landmarks"], "data": ["fold", "folds", "box_scale"]}
    else:
        strange = {
            "task": [k for k in default if k not in (*shared, "landmarks")],
            "data": [
                *("crop_field", "resize_mode", "max_labels"),
                *("auxiliary_dir", "tfds_name"),
            ],
        }
    for group, (ours, theirs) in {
        "task": (plain, default),
        "data": (dataclasses.asdict(data), dataclasses.asdict(DataConfig())),
    }.items():
        for field in strange[group]:
            if ours[field] != theirs[field]:
                raise ValueError(
                    f"config.{group}.{field} does not belong to the task "
                    f"{task.name!r}; leave it at {theirs[field]!r}"
                )
    for field, model in (
        ("model", config.model),
        ("teacher.model", config.teacher.model),
    ):
        _check_heads(config, field, model)
    if task.name != "landmarks":
        return
    if config.pretrain.steps:
        raise ValueError(
            "config.pretrain.steps is for the retina; with the task 'landmarks' it "
            f"must be 0; it is {config.pretrain.steps}"
        )
    marks = task.landmarks
    _one_of("task.landmarks.geometry", marks.geometry, (*GEOMETRIES, "none"))
    _one_of("task.landmarks.light", marks.light, ("face", "none"))
    if not max(marks.heatmap_weight, marks.point_weight) > 0:
        raise ValueError(
            "config.task.landmarks.heatmap_weight and point_weight are both 0; at "
            "least one must be positive"
        )
    if data.fold >= 0 and data.kind != "wflw":
        raise ValueError(
            f"config.data.fold is {data.fold}, but only data.kind 'wflw' has folds"
        )
    if data.fold >= data.folds:
        raise ValueError(
            f"config.data.fold is {data.fold} of {data.folds} folds; expected -1 "
            "(none) or 0 up to folds - 1"
        )


def _check_heads(config: Config, field: str, model: ModelConfig) -> None:
    """Check that a network has the outputs of the task."""
    name = config.task.name
    wanted = LANDMARKS if name == "landmarks" else 1
    used = field == "model" or config.task.distill
    if used and model.out_channels != wanted:
        raise ValueError(
            f"config.{field}.out_channels must be {wanted} for the task {name!r}; it "
            f"is {model.out_channels}"
        )
    if name == "landmarks":
        needed, right = "0", model.descriptor_dim == 0
    else:
        needed, right = "at least 1", model.descriptor_dim >= 1
    if used and not right:
        raise ValueError(
            f"config.{field}.descriptor_dim must be {needed} for the task {name!r}; it "
            f"is {model.descriptor_dim}"
        )


_BIG = 2**31 - 1
# Fields and the least and the largest value that they may have.
_RANGES = {
    "seed": (0, _BIG),
    "data.batch_size": (1, _BIG),
    "data.max_labels": (1, _BIG),
    "data.embedded_labeled": (0, _BIG),
    "data.embedded_unlabeled": (0, _BIG),
    "data.fold": (-1, _BIG),
    "data.folds": (2, _BIG),
    "data.num_threads": (0, 1024),
    "data.cache_mb": (0, _BIG),
    "task.pke_start_epoch": (-1, _BIG),
    "task.max_keypoints": (1, 2**16),
    "task.texture_points": (0, 2**16),
    "task.nms_radius": (0, 1024),
    "task.teacher_nms_radius": (0, 1024),
    "task.border": (0, 1024),
    "task.threshold": (0, 1),
    "task.teacher_threshold": (0, 1),
    "task.margin": (0, 4),
    "task.gor_weight": (0, math.inf),
    "task.infonce_exclude_radius": (0, math.inf),
    "task.detector_weight": (0, math.inf),
    "task.descriptor_weight": (0, math.inf),
    "task.heatmap_distillation_weight": (0, math.inf),
    "task.descriptor_distillation_weight": (0, math.inf),
    "task.mask_size": (1, 1024),
    "task.landmarks.heatmap_weight": (0, math.inf),
    "task.landmarks.point_weight": (0, math.inf),
    "task.landmarks.distillation_weight": (0, math.inf),
    "optim.warmup_steps": (0, _BIG),
    "optim.weight_decay": (0, math.inf),
    "optim.clip_norm": (0, math.inf),
    "loop.steps": (1, _BIG),
    "loop.log_every": (1, _BIG),
    "loop.eval_every": (0, _BIG),
    "loop.checkpoint_every": (1, _BIG),
    "loop.keep": (1, _BIG),
    "loop.eval_pairs": (0, _BIG),
    "teacher.steps": (1, _BIG),
    "pretrain.steps": (0, _BIG),
}
_POSITIVE = (
    *("optim.lr", "teacher.lr", "pretrain.lr", "task.infonce_temperature"),
    *("data.box_scale", "task.landmarks.sigma_px", "task.landmarks.temperature"),
)


def _check_numbers(config: Config) -> None:
    values = flatten(as_dict(config))
    for field, (least, largest) in _RANGES.items():
        value = values[field]
        if not (math.isfinite(value) and least <= value <= largest):
            most = "" if math.isinf(largest) else f" and at most {largest}"
            raise ValueError(
                f"config.{field} must be finite, at least {least}{most}; it is {value}"
            )
    for field in _POSITIVE:
        value = values[field]
        if not (math.isfinite(value) and value > 0):
            raise ValueError(
                f"config.{field} must be positive and finite; it is {value}"
            )
    if not 0 <= config.optim.ema_decay < 1:
        raise ValueError(
            f"config.optim.ema_decay must be in [0, 1); it is {config.optim.ema_decay}"
        )
    if config.data.kind == "embedded" and not (
        config.data.embedded_labeled + config.data.embedded_unlabeled
    ):
        raise ValueError(
            "config.data.embedded_labeled and config.data.embedded_unlabeled are both "
            "0; at least one photograph is needed"
        )


def parse_variants(text: str, known: Sequence[str]) -> set[str]:
    """Split `"a,b"` after the colon of `--config FILE:a,b` into variant names.

    Raises:
        ValueError: an unknown variant; the known ones are listed. Or two that exclude
            each other.

    >>> sorted(parse_variants("demo,pretrained", ["demo", "pretrained"]))
    ['demo', 'pretrained']
    """
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(known))
    if unknown:
        raise ValueError(
            f"unknown variant {', '.join(unknown)}; known: {', '.join(known)}"
        )
    if "upstream" in names and names & {"crops", "demo"}:
        raise ValueError("variant upstream trains whole images: leave out crops, demo")
    return names


def shrink_to_crops(config: Config) -> None:
    """Make an experiment fit a CPU: 256-pixel crops, hard light, denser descriptors.

    Instance norm, the InfoNCE term beside the paper's triplet and points drawn where
    the image has texture let descriptors learn from hundreds of steps instead of tens
    of thousands; parameter counts stay the paper's.
    """
    config.model.norm = config.teacher.model.norm = "instance"
    config.data.crop = 256
    config.data.batch_size = 2
    config.data.labeled_share = 0.6
    config.task.light = "visit"
    config.task.descriptor_geometry = "visit"
    config.task.descriptor_loss = "triplet+infonce"
    config.task.texture_points = 128
    config.task.infonce_exclude_radius = 10.0
    config.task.max_keypoints = 64
    config.task.pke_start_epoch = 4
    config.optim.lr = config.teacher.lr = 2e-3
    config.optim.schedule = "cosine"
    config.optim.warmup_steps = 20
    config.optim.clip_norm = 1.0
    config.optim.ema_decay = 0.98
    config.loop.log_every = 10
    config.loop.checkpoint_every = 50
    config.loop.eval_every = 200
    config.loop.eval_pairs = 12
    config.loop.steps = config.teacher.steps = 600


def follow_upstream(config: Config, release: str) -> None:
    """Take the numbers and quirks of the authors' code (docs/specification.md, 10).

    Args:
        config: changed in place.
        release: "rkd" or "superretina", whose constants differ.
    """
    task, data = config.task, config.data
    task.detector_geometry = "upstream_detector"
    task.descriptor_geometry = "upstream_descriptor"
    rkd = release == "rkd"
    task.nms_radius = task.teacher_nms_radius = 20 if rkd else 10
    task.threshold = task.teacher_threshold = 0.5 if rkd else 0.1
    task.nms_method = "two_round" if rkd else "one_round"
    task.descriptor_grid = "upstream"
    task.dice_per_example = False
    task.mask_geometric = False
    task.mask_field = False
    task.clip_light = False
    task.expansion = release
    task.deterministic_expansion = False
    task.max_keypoints = 1000
    data.crop_field = False
    data.resize_mode = "stretch"
    data.batch_size = 1

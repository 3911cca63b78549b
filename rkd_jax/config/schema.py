"""The schema of an experiment: nested dataclasses, a comment a field."""

import dataclasses
from typing import Any

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
    # Side of an attention window in tokens (swin_unetr).
    window_size: int = 7
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
                "window_size": self.window_size,
                "norm": self.norm,
                "drop_rate": self.drop_rate,
            },
        }
        return {**common, **own[self.name]}


@dataclasses.dataclass
class DataConfig:
    """Which images are read, and how they are batched."""

    # synthetic | superretina | folder | tfds; for landmarks synthetic | wflw | tfds
    kind: str = "synthetic"
    # Root of the data set (superretina, folder, tfds, wflw).
    data_dir: str = ""
    # Name of the prepared TFDS data set (tfds).
    tfds_name: str = ""
    # Folder of further images without labels (superretina).
    auxiliary_dir: str = ""
    # Leave out listed samples whose files are missing, with a warning (superretina).
    skip_missing: bool = False
    # Split file (superretina), list (wflw) or split (tfds): training, validation.
    train_split: str = "train"
    val_split: str = "val"
    # Longest side of an image as it is trained on, pixels.
    size: int = 768
    # Side of the random training crops, or of the views of a face, which begin at the
    # middle of the stored crop; pixels; 0 takes the whole image.
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
    # Synthetic photographs or faces: labeled, and further ones without labels.
    synthetic_labeled: int = 64
    synthetic_unlabeled: int = 64
    # Share of labeled images among those drawn; 0: every image equally often.
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
    # How descriptor maps are read: aligned | upstream; see docs/paper/specification.md,
    # quirk 19.
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
    # Held-out pairs (retina) or faces (landmarks) of an evaluation; 0: none.
    eval_pairs: int = 24
    # Pair source of the evaluation: auto (as data.kind) | synthetic.
    eval_kind: str = "auto"


@dataclasses.dataclass
class TeacherConfig:
    """The frozen network that is followed, and how it is come by."""

    # Weights file, or the name of one that comes with the package (default); empty:
    # the teacher is trained first, in `<workdir>/teacher`.
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
    # Start from the parameters of this weights file, or of a packaged name.
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
        from rkd_jax.config.checks import check

        check(self)
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

"""What a config must be: every field is checked, and named where it is wrong."""

import dataclasses
import math
from collections.abc import Sequence

from rkd_jax.config.schema import (
    LANDMARKS,
    Config,
    DataConfig,
    LoopConfig,
    ModelConfig,
    TaskConfig,
    as_dict,
    flatten,
)

GEOMETRIES = (
    "upstream_detector",
    "upstream_descriptor",
    "detector",
    "descriptor",
    "visit",
    "any_visit",
    "wide",
    "face",
    "upright_face",
)


def check(config: Config) -> None:
    """Check every field; see `Config.validate`."""
    _one_of("task.name", config.task.name, ("retina", "pretraining", "landmarks"))
    _check_models(config)
    _check_data(config)
    _check_mix(config)
    _check_landmarks(config)
    _check_task(config)
    _check_numbers(config)


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
        if model.window_size < 2:
            raise ValueError(
                f"config.{field}.window_size must be at least 2; "
                f"it is {model.window_size}"
            )
        if not 0 <= model.drop_rate < 1:
            raise ValueError(
                f"config.{field}.drop_rate must be in [0, 1); it is {model.drop_rate}"
            )


def _check_data(config: Config) -> None:
    data = config.data
    _one_of("data.resize_mode", data.resize_mode, ("fit", "stretch"))
    kinds = ("synthetic", "superretina", "folder", "tfds")
    if config.task.name == "landmarks":
        kinds = ("synthetic", "wflw", "tfds")
    _one_of("data.kind", data.kind, kinds)
    if data.kind != "synthetic" and not data.data_dir:
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
    _one_of("loop.eval_kind", config.loop.eval_kind, ("auto", "synthetic"))
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
    if task.name == "pretraining":
        _check_pretraining(config)
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


def _check_pretraining(config: Config) -> None:
    given = {
        "init_weights": config.init_weights,
        "pretrain.steps": config.pretrain.steps,
        "task.distill": config.task.distill,
        "compare_scratch": config.compare_scratch,
    }
    for field, value in given.items():
        if value:
            raise ValueError(
                f"config.{field} is {value!r}; task pretraining is one run that begins "
                f"with random weights: drop config.{field}"
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
                *("auxiliary_dir", "tfds_name", "skip_missing"),
            ],
            "loop": ["eval_kind"],
        }
    for group, (ours, theirs) in {
        "task": (plain, default),
        "data": (dataclasses.asdict(data), dataclasses.asdict(DataConfig())),
        "loop": (dataclasses.asdict(config.loop), dataclasses.asdict(LoopConfig())),
    }.items():
        for field in strange.get(group, ()):
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
    "data.synthetic_labeled": (0, _BIG),
    "data.synthetic_unlabeled": (0, _BIG),
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
    if config.data.kind == "synthetic" and not (
        config.data.synthetic_labeled + config.data.synthetic_unlabeled
    ):
        raise ValueError(
            "config.data.synthetic_labeled and config.data.synthetic_unlabeled are "
            "both 0; at least one photograph is needed"
        )

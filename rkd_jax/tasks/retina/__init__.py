"""Keypoints of the retina: SuperRetina, and students that follow a teacher.

The functions are those of `rkd_jax.tasks.base.TaskModule`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax import tasks
from rkd_jax.config import Config, Stage
from rkd_jax.tasks import networks
from rkd_jax.tasks.distillation import alone, distillation_stages
from rkd_jax.tasks.photographs import PhotographsConfig, training_photographs
from rkd_jax.tasks.retina.config import PretrainConfig, RetinaConfig

if TYPE_CHECKING:
    from rkd_jax.data.records import Records
    from rkd_jax.data.source import Source
    from rkd_jax.tasks.retina.task import RetinaTask
    from rkd_jax.weights import Weights

__all__ = ["CONFIG", "PhotographsConfig", "PretrainConfig", "RetinaConfig"]
CONFIG = RetinaConfig


def make(
    config: Config,
    source: "Source",
    given: "Mapping[str, Weights]",
    axis_name: str | None = None,
) -> "RetinaTask":
    """Return the task of one run; see `TaskModule.make`."""
    from rkd_jax.tasks.retina.task import RetinaTask

    options, teacher = RetinaConfig.of(config), given.get("teacher")
    follows = options.distill and teacher is not None
    return RetinaTask(
        model=networks.build(config.model),
        options=options,
        crop=config.data.crop,
        labeled=int((source.groups == 1).sum()),
        steps_per_epoch=max(len(source) // config.data.batch_size, 1),
        teacher_model=networks.rebuild(teacher, options.teacher.model)
        if follows
        else None,
        teacher_grid=teacher.preprocess.get("descriptor_grid") if follows else None,
        axis_name=axis_name,
    )


def training_source(config: Config) -> "Records":
    """Return the photographs that a run trains on."""
    return training_photographs(PhotographsConfig.of(config), seed=config.seed)


def held_out(config: Config) -> "Source | None":
    """Return the pairs that a run is evaluated on, if any."""
    if not config.loop.eval_pairs:
        return None
    from rkd_jax.tasks.retina.evaluation import held_out_pairs

    return held_out_pairs(config)


def stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment; its own is the last one.

    Before it, where the config asks for them: pre-training of the encoder, the teacher,
    and the same network without teacher, for comparison.
    """
    found = distillation_stages(config)
    asked = RetinaConfig.of(config).pretrain
    if asked.steps:
        encoder = alone(config)
        encoder.task = tasks.load("pretraining").CONFIG(
            mask_ratio=asked.mask_ratio, mask_size=asked.mask_size
        )
        encoder.loop.steps, encoder.optim.lr = asked.steps, asked.lr
        first = Stage("encoder", encoder, "pretraining", takes=(), gives="start")
        found.insert(0, first)
    return found


def preprocess(config: Config) -> dict[str, Any]:
    """Return how photographs are prepared and descriptors read, for a weights file."""
    return {
        "channel": "green",
        "size": config.data.size,
        "descriptor_grid": RetinaConfig.of(config).descriptor_grid,
    }


def must_agree(config: Config, role: str) -> set[str]:
    """Return nothing: networks of other sizes and grids may be used."""
    return set()

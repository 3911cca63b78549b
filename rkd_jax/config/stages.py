"""The runs that an experiment is made of, each with a config of its own."""

import copy
import dataclasses
from typing import Literal

from rkd_jax.config.schema import Config, TeacherConfig


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run.

    Attributes:
        title: its name in progress lines and results.
        config: of this run alone.
        folder: the name of its work directory below the experiment's; empty: that one.
        takes_start: it begins with `init_weights` or the pre-trained encoder, if there
            is one of them.
        gives: what its weights are to the runs after it, a field of
            `training.given.Given`.
    """

    title: str
    config: Config
    folder: str = ""
    takes_start: bool = True
    gives: Literal["", "start", "teacher"] = ""


def list_stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment in order; the last is its own.

    Before it, where the config asks for them: pre-training of the encoder, the teacher,
    and the same network without teacher, for comparison.

    Args:
        config: validated.

    >>> config = Config()
    >>> config.task.distill = True
    >>> [stage.title for stage in list_stages(config)]
    ['teacher', 'student']
    """
    plan = []
    if config.pretrain.steps:
        encoder = _pretraining(config)
        plan.append(
            Stage("encoder", encoder, "pretraining", takes_start=False, gives="start")
        )
    if config.task.distill and not config.teacher.weights:
        teacher = _teacher(config)
        plan.append(
            Stage("teacher", teacher, "teacher", takes_start=False, gives="teacher")
        )
    if config.compare_scratch:
        plan.append(Stage("scratch", _alone(config), "scratch"))
    return [*plan, Stage("student" if config.task.distill else "network", config)]


def _alone(config: Config) -> Config:
    """Return a copy without other runs and without teacher."""
    alone = copy.deepcopy(config)
    alone.compare_scratch = False
    alone.task.distill = False
    alone.pretrain.steps = 0
    alone.teacher = TeacherConfig()
    return alone


def _teacher(config: Config) -> Config:
    teacher = _alone(config)
    teacher.model = copy.deepcopy(config.teacher.model)
    teacher.loop.steps = config.teacher.steps
    teacher.optim.lr = config.teacher.lr
    teacher.init_weights = ""
    return teacher


def _pretraining(config: Config) -> Config:
    encoder = _alone(config)
    encoder.task.name = "pretraining"
    encoder.loop.steps = config.pretrain.steps
    encoder.optim.lr = config.pretrain.lr
    return encoder

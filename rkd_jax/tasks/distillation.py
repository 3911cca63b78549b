"""Reverse knowledge distillation, whatever is learned: its options and its runs."""

import copy
import dataclasses
from typing import Self

from rkd_jax.config import (
    Config,
    ModelConfig,
    Section,
    Stage,
    TaskConfig,
    WeightsFile,
    count,
    number,
    path,
)


@dataclasses.dataclass
class TeacherConfig(Section):
    """The frozen teacher: a weights file, or how to train it first."""

    # Weights file, or the name of a packaged one; empty: the teacher is trained first,
    # in `<workdir>/teacher`.
    weights: str = path()
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    # Steps and learning rate of that training.
    steps: int = count(10_000, least=1, earlier=True)
    lr: float = number(1e-4, above=0)


@dataclasses.dataclass
class DistillationConfig(TaskConfig):
    """Options of a task whose student can follow a teacher."""

    # Follow a frozen teacher (reverse knowledge distillation).
    distill: bool = False
    # Train the same student without teacher too, in `<workdir>/scratch`, and compare.
    compare_scratch: bool = False
    teacher: TeacherConfig = dataclasses.field(default_factory=TeacherConfig)

    def weights_files(self, config: Config) -> dict[str, WeightsFile]:
        """Return the files of `TaskConfig.weights_files`, and the teacher's."""
        files = TaskConfig.weights_files(self, config)
        if self.distill:
            files["teacher"] = WeightsFile(self.teacher.weights, self.teacher.model)
        return files

    def networks(self, config: Config) -> dict[str, ModelConfig]:
        """Return the networks that an experiment trains or follows, by field."""
        found = {"model": config.model}
        if self.distill:
            found["task.teacher.model"] = self.teacher.model
        return found

    def alone(self) -> Self:
        """Return a copy without teacher and without further runs."""
        alone = copy.deepcopy(self)
        alone.distill = alone.compare_scratch = False
        alone.teacher = TeacherConfig()
        return alone


def distillation_stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment whose student may have a teacher.

    The teacher and the student without teacher come first, where the config asks for
    them.

    Args:
        config: validated; its task is a `DistillationConfig`.

    >>> config = Config(task=DistillationConfig(distill=True))
    >>> [stage.title for stage in distillation_stages(config)]
    ['teacher', 'student']
    """
    task, stages = DistillationConfig.of(config), []
    if task.distill and not task.teacher.weights:
        first = alone(config)
        first.model = copy.deepcopy(task.teacher.model)
        first.loop.steps, first.optim.lr = task.teacher.steps, task.teacher.lr
        first.init_weights = ""
        stages.append(Stage("teacher", first, "teacher", takes=(), gives="teacher"))
    if task.compare_scratch:
        stages.append(Stage("scratch", alone(config), "scratch"))
    if task.distill:
        return [*stages, Stage("student", config, takes=("start", "teacher"))]
    return [*stages, Stage("network", config)]


def alone(config: Config) -> Config:
    """Return a copy of a config whose task has neither teacher nor further runs."""
    found = copy.deepcopy(config)
    found.task = DistillationConfig.of(config).alone()
    return found

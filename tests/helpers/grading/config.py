"""Fields of the task, its data and its network."""

import dataclasses
from typing import ClassVar

from rkd_jax.config import DataConfig, ModelConfig, TaskConfig, choice, count, number
from rkd_jax.tasks import networks


@dataclasses.dataclass
class GradingData(DataConfig):
    """Drawn pictures, all of one size."""

    # What a value may be stands beside the field.
    kind: str = choice("synthetic", "synthetic")
    size: int = count(16, least=8)


@dataclasses.dataclass
class GraderConfig(ModelConfig):
    """A network of our own; it takes the fields that it has."""

    name: str = "grading.network:Grader"
    # One output a grade.
    out_channels: int = count(3, least=2)
    width: int = count(8, least=1)


@dataclasses.dataclass
class GradingConfig(TaskConfig):
    """Fields of `config.task`."""

    DATA: ClassVar[type[DataConfig]] = GradingData
    name: str = "grading"
    # Weight of the squared difference to the teacher's logits.
    teacher_weight: float = number(0.1, least=0)
    # Length of the first stage, which has no teacher.
    first_steps: int = count(100, least=1)

    def check(self, config):
        networks.build(config.model)  # refuses an unknown network
        grades = config.model.out_channels
        if config.data.batch_size % grades:
            raise ValueError(
                "config.data.batch_size must be a multiple of the "
                f"{grades} grades; it is {config.data.batch_size}"
            )

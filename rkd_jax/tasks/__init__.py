"""What is learnt: one module a task, its class with the four functions of `Task`.

A task is a frozen dataclass of networks and options; its functions are pure, so the
training step can trace them. `training` knows tasks by this protocol alone.
"""

from typing import Any

import numpy as np

from rkd_jax.config import Config, TaskConfig
from rkd_jax.tasks.base import Task


def build(options: TaskConfig, **parts: Any) -> Task:
    """Return the task that `options.name` names.

    Args:
        options: validated.
        **parts: fields of the task's dataclass besides `options`: `model`, `crop`,
            `labeled`, `steps_per_epoch`, `teacher_model`, `teacher_grid`, `axis_name`.
    """
    if options.name == "retina":
        from rkd_jax.tasks.retina.task import RetinaTask as Kind
    elif options.name == "landmarks":
        from rkd_jax.tasks.faces.task import LandmarksTask as Kind
    else:
        from rkd_jax.tasks.pretraining.task import PretrainingTask as Kind
    return Kind(options=options, **parts)


def training_source(config: Config) -> Any:
    """Return the random-access source that an experiment trains on.

    It has `names`, `n_labeled`, and labeled images first.

    Raises:
        FileNotFoundError, ValueError: the data are missing or bad.
    """
    if config.task.name == "landmarks":
        from rkd_jax.tasks.faces.task import training_faces as collect
    else:
        from rkd_jax.tasks.retina.views import training_photographs as collect
    return collect(config)


def preprocess(config: Config) -> dict[str, Any]:
    """Return how images are prepared and outputs read, for the weights file."""
    if config.task.name == "landmarks":
        from rkd_jax.tasks.faces.task import preprocess as tell
    else:
        from rkd_jax.tasks.retina.views import preprocess as tell
    return tell(config)


def shared_preprocess(config: Config, *, teacher: bool) -> dict[str, Any]:
    """Return what of `preprocess` a weights file must share with the config.

    Args:
        config: of the network that is trained.
        teacher: the file is its teacher's; otherwise what it starts from.
    """
    if config.task.name != "landmarks":
        return {}
    from rkd_jax.tasks.faces.task import shared_preprocess as choose

    return choose(config, teacher=teacher)


def held_out(config: Config) -> list[dict[str, np.ndarray]] | None:
    """Return the data on which the task of an experiment is evaluated, if any."""
    if not config.loop.eval_pairs:
        return None
    if config.task.name == "retina":
        from rkd_jax.tasks.retina.held_out import held_out_pairs as collect
    elif config.task.name == "landmarks":
        from rkd_jax.tasks.faces.task import held_out_faces as collect
    else:
        from rkd_jax.tasks.pretraining.task import held_out_images as collect
    return collect(config)

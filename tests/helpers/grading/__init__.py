"""Grades of RGB pictures: the functions that the trainer calls (a `TaskModule`)."""

import copy

from grading.config import GradingConfig
from grading.data import Squares
from rkd_jax.config import Stage
from rkd_jax.data.sampling import Balanced
from rkd_jax.tasks import networks

CONFIG = GradingConfig


def make(config, source, given, axis_name=None):
    """Return the task of one run; `given` holds weights by role, such as "start"."""
    from grading.task import GradingTask

    model = networks.build(config.model).clone(axis_name=axis_name)
    return GradingTask(model, config.task.teacher_weight, axis_name)


def training_source(config):
    """Return what is trained on."""
    return _squares(config, config.data.synthetic_labeled, config.seed)


def held_out(config):
    """Return what is scored, read lazily, or None."""
    if not config.loop.eval_pairs:
        return None
    return _squares(config, config.loop.eval_pairs, config.seed + 1)


def sampler(config, source):
    """Return the order of examples: equally many pictures of each grade in a batch."""
    grades = config.model.out_channels
    per_group = config.data.batch_size // grades
    return Balanced(source.groups, count=grades, per_group=per_group, seed=config.seed)


def stages(config):
    """Return the runs of the experiment, in order: without teacher, then with it."""
    first = copy.deepcopy(config)
    first.task.teacher_weight, first.loop.steps = 0.0, config.task.first_steps
    return [
        Stage("first", first, folder="first", takes=(), gives="start"),
        Stage("network", config, takes=("start",)),
    ]


def preprocess(config):
    """Return how images are prepared; it is written into the weights file."""
    return {"channels": "rgb", "size": config.data.size}


def must_agree(config, role):
    """Return the keys of `preprocess` that must equal those of a weights file."""
    return {"channels", "size"}


def _squares(config, count, seed):
    size, grades = config.data.size, config.model.out_channels
    return Squares(count, size=size, grades=grades, seed=seed)

"""An experiment, and the line that registers its task."""

from grading.config import GraderConfig, GradingConfig

from rkd_jax import tasks
from rkd_jax.config import Config

tasks.TASKS["grading"] = "grading"


def get_config(variant=""):
    config = Config(task=GradingConfig(), model=GraderConfig())
    config.data.synthetic_labeled = 60
    config.data.batch_size = 12
    config.optim.lr = 0.01
    config.loop.steps = 200
    config.loop.eval_pairs = 30
    return config

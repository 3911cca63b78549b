"""The schema of an experiment, its checks, and what the files in `configs/` share.

A file in `configs/` returns a `Config`; flags override single fields
(`--config.optim.lr=3e-4`); `Config.validate` then checks the whole and names the field
that is wrong. `config.task` is an instance of the task's own class, with the fields of
that task alone. Models, losses and data take plain keyword arguments, no config.
"""

from rkd_jax.config.dicts import as_dict, difference, flatten_dict
from rkd_jax.config.fields import Section, choice, count, marked, number, path
from rkd_jax.config.schema import (
    Config,
    DataConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    TaskConfig,
    WeightsFile,
)
from rkd_jax.config.stages import Stage
from rkd_jax.config.variants import learn_fast, parse_variants

__all__ = [
    "Config",
    "DataConfig",
    "LoopConfig",
    "ModelConfig",
    "OptimConfig",
    "Section",
    "Stage",
    "TaskConfig",
    "WeightsFile",
    "as_dict",
    "choice",
    "count",
    "difference",
    "flatten_dict",
    "learn_fast",
    "marked",
    "number",
    "parse_variants",
    "path",
]

"""The one schema of an experiment, its checks, its runs, and what configs share.

A file in `configs/` returns a `Config`; flags override single fields
(`--config.optim.lr=3e-4`); `validate` then checks the whole and names the field
that is wrong. Entry points, tasks and `training.experiment` read it; models,
losses and data take plain keyword arguments.
"""

from rkd_jax.config.checks import GEOMETRIES
from rkd_jax.config.schema import (
    LANDMARKS,
    Config,
    DataConfig,
    LandmarkConfig,
    LoopConfig,
    ModelConfig,
    OptimConfig,
    PretrainConfig,
    TaskConfig,
    TeacherConfig,
    as_dict,
    difference,
    flatten,
)
from rkd_jax.config.stages import Stage, list_stages
from rkd_jax.config.variants import (
    fill_gpu,
    follow_upstream,
    harden,
    parse_variants,
    shrink_to_crops,
)

__all__ = [
    "Config",
    "DataConfig",
    "GEOMETRIES",
    "LANDMARKS",
    "LandmarkConfig",
    "LoopConfig",
    "ModelConfig",
    "OptimConfig",
    "PretrainConfig",
    "Stage",
    "TaskConfig",
    "TeacherConfig",
    "as_dict",
    "difference",
    "fill_gpu",
    "flatten",
    "follow_upstream",
    "harden",
    "list_stages",
    "parse_variants",
    "shrink_to_crops",
]

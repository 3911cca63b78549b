"""Networks for keypoints, maps and classes (Flax Linen, NHWC), built by name.

The package itself loads no JAX: `build` imports the network that it is asked for.
"""

from rkd_jax.models.answers import check_answer, check_class_answer
from rkd_jax.models.options import (
    OPTIONS,
    ClassifierOptions,
    DenseNetOptions,
    FrrnOptions,
    KeypointOptions,
    LargeKernelOptions,
    NetworkOptions,
    ResNetOptions,
    SmallCnnOptions,
    SuperRetinaOptions,
    SwinClassifierOptions,
    SwinUnetrOptions,
    TwoStageOptions,
)
from rkd_jax.models.table import build, check, option_names

__all__ = [
    "OPTIONS",
    "ClassifierOptions",
    "DenseNetOptions",
    "FrrnOptions",
    "KeypointOptions",
    "LargeKernelOptions",
    "NetworkOptions",
    "ResNetOptions",
    "SmallCnnOptions",
    "SuperRetinaOptions",
    "SwinClassifierOptions",
    "SwinUnetrOptions",
    "TwoStageOptions",
    "build",
    "check",
    "check_answer",
    "check_class_answer",
    "option_names",
]

"""The options of the networks, with their ranges; the networks take them as fields.

Python alone, so that configs can hold them without loading JAX.
"""

from rkd_jax.models.options.base import COMPUTE_DTYPES, NetworkOptions
from rkd_jax.models.options.classes import (
    ClassifierOptions,
    DenseNetOptions,
    ResNetOptions,
    SmallCnnOptions,
    SwinClassifierOptions,
)
from rkd_jax.models.options.keypoints import (
    NORMS,
    KeypointOptions,
    LargeKernelOptions,
    SuperRetinaOptions,
    SwinUnetrOptions,
)
from rkd_jax.models.options.lesions import FrrnOptions, TwoStageOptions
from rkd_jax.models.options.swin import SwinOptions

__all__ = [
    "COMPUTE_DTYPES",
    "NORMS",
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
    "SwinOptions",
    "SwinUnetrOptions",
    "TwoStageOptions",
]

OPTIONS: dict[str, type[NetworkOptions]] = {
    "superretina": SuperRetinaOptions,
    "large_kernel": LargeKernelOptions,
    "swin_unetr": SwinUnetrOptions,
    "frrn": FrrnOptions,
    "resnet": ResNetOptions,
    "densenet": DenseNetOptions,
    "small_cnn": SmallCnnOptions,
    "swin_classifier": SwinClassifierOptions,
    "two_stage": TwoStageOptions,
}

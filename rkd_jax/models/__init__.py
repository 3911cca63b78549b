"""Keypoint networks (Flax Linen, NHWC), built by name.

The package itself loads no JAX: `build` imports the network that it is asked for.
"""

from rkd_jax.models.options import (
    OPTIONS,
    LargeKernelOptions,
    NetworkOptions,
    SuperRetinaOptions,
    SwinUnetrOptions,
)
from rkd_jax.models.table import build, check, check_answer, option_names

__all__ = [
    "OPTIONS",
    "LargeKernelOptions",
    "NetworkOptions",
    "SuperRetinaOptions",
    "SwinUnetrOptions",
    "build",
    "check",
    "check_answer",
    "option_names",
]

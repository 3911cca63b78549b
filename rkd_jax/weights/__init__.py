"""Weight files: safetensors whose metadata names model, options and recipe.

What `storage` offers is imported when it is first used, so that
`python -m rkd_jax.weights.convert --help` needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rkd_jax.weights.storage import (
        Weights,
        check_finite,
        check_tensors,
        expected_shapes,
        find,
        is_ours,
        load,
        model_of,
        save,
    )

__all__ = [
    "Weights",
    "check_finite",
    "check_tensors",
    "expected_shapes",
    "find",
    "is_ours",
    "load",
    "model_of",
    "save",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("rkd_jax.weights.storage"), name)

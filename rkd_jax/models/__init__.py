"""Keypoint models (Flax Linen, NHWC) and the name table that builds them."""

import dataclasses
from typing import Any

import flax.linen as nn

from rkd_jax.models.large_kernel import LargeKernel
from rkd_jax.models.layers import ModelOutput
from rkd_jax.models.superretina import SuperRetina
from rkd_jax.models.swin import SwinTransformer
from rkd_jax.models.swin_unetr import SwinUnetr

__all__ = [
    "MODELS",
    "LargeKernel",
    "ModelOutput",
    "SuperRetina",
    "SwinTransformer",
    "SwinUnetr",
    "build",
    "option_names",
]

MODELS: dict[str, type[nn.Module]] = {
    "superretina": SuperRetina,
    "large_kernel": LargeKernel,
    "swin_unetr": SwinUnetr,
}


def option_names(name: str) -> tuple[str, ...]:
    """Return the options that `build(name, ...)` takes.

    Raises:
        ValueError: Unknown model.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {sorted(MODELS)}")
    fields = dataclasses.fields(MODELS[name])
    return tuple(f.name for f in fields if f.name not in ("parent", "name"))


def build(name: str, **options: Any) -> nn.Module:
    """Build a model by name.

    Args:
        name: A key of `MODELS`.
        **options: Attributes of the module; lists are taken for tuples.

    Returns:
        A module that maps images `[B, H, W, 1]` to a `ModelOutput`.

    Raises:
        ValueError: Unknown model or option (the known ones are listed), or a value
            that the model refuses.

    >>> build("superretina", descriptor_dim=64).descriptor_dim
    64
    """
    known = option_names(name)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(
            f"unknown options {unknown} for model {name!r}; known: {list(known)}"
        )
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return MODELS[name](**options)

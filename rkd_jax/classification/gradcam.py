"""Grad-CAM: which part of an image speaks for a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

LAYERS = ("embedding", "logits")
"""Linear layers after the mean of the last map, by their names among the parameters."""


def head_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the linear layers that follow the mean of the last map.

    Raises:
        ValueError: the network has no layer `logits`.

    >>> sorted(head_of({"stem": {}, "logits": {}, "embedding": {}}))
    ['embedding', 'logits']
    """
    if "logits" not in params:
        raise ValueError(
            f"no layer 'logits' among {', '.join(sorted(params))}; an explanation "
            "needs a network that ends in the mean of a map and this layer"
        )
    return {name: params[name] for name in LAYERS if name in params}


def logits_of(head: Mapping[str, Any], last_map: jax.Array) -> jax.Array:
    """Return what a network makes of its last map.

    Args:
        head: of `head_of`.
        last_map: `[B, h, w, D]`.

    Returns:
        float32 `[B, C]`.
    """
    values = jnp.mean(last_map.astype(jnp.float32), axis=(1, 2))
    for name in LAYERS:
        if name in head:
            layer = head[name]
            values = values @ layer["kernel"] + layer["bias"][None]
    return values


@jax.jit
def class_map(
    head: Mapping[str, Any], last_map: jax.Array, number: jax.Array
) -> jax.Array:
    """Return where the last map speaks for a class.

    Its channels are added, each with the mean gradient of the class's logit as its
    weight; what speaks against the class counts as 0.

    Args:
        head: of `head_of`.
        last_map: `[h, w, D]`.
        number: int, of the class.

    Returns:
        float32 `[h, w]` in 0..1, the largest 1; all 0 where nothing speaks for it.

    Source: Selvaraju et al., ICCV 2017.
    """
    last_map = last_map.astype(jnp.float32)

    def logit(values: jax.Array) -> jax.Array:
        return logits_of(head, values[None])[0, number]

    weights = jnp.mean(jax.grad(logit)(last_map), axis=(0, 1))
    found = jax.nn.relu(jnp.einsum("hwd,d->hw", last_map, weights))
    highest = jnp.max(found)
    return jnp.where(highest > 0, found / jnp.where(highest > 0, highest, 1.0), 0.0)

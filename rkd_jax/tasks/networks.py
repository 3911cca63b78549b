"""Networks of a config: checked, built, and a frozen teacher rebuilt from its file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rkd_jax import models
from rkd_jax.config import ModelConfig

if TYPE_CHECKING:
    import flax.linen as nn

    from rkd_jax.weights import Weights


def options(network: ModelConfig) -> dict[str, Any]:
    """Return those fields of a network's config that the network takes.

    A subclass of `ModelConfig` may add fields for a network of a user's own. A network
    inside a network is a dictionary of its name and options.

    >>> "kernels" in options(ModelConfig()), "widths" in options(ModelConfig())
    (False, True)
    """
    fields = {field.name for field in dataclasses.fields(network)} - {"name"}
    taken = models.option_names(network.name) & fields
    return {name: _plain(getattr(network, name)) for name in sorted(taken)}


def _plain(value: Any) -> Any:
    if isinstance(value, ModelConfig):
        return {"name": value.name, **options(value)}
    return value


def stored_options(network: ModelConfig) -> dict[str, Any]:
    """Return the options that a weights file keeps: what was learned, not how.

    A reader computes as its own device does, so that `compute_dtype` is left out, also
    of networks inside.
    """

    def kept(given: dict[str, Any]) -> dict[str, Any]:
        return {
            name: kept(value) if isinstance(value, dict) else value
            for name, value in given.items()
            if name != "compute_dtype"
        }

    return kept(options(network))


def check_options(network: ModelConfig, field: str) -> None:
    """Check that a network, and those inside it, exist and take their options.

    Raises:
        ValueError: names the field of the config, such as "model".
    """
    where = f"config.{field}"
    models.option_names(network.name, where)  # names an unknown network's field
    for part in dataclasses.fields(network):
        inside = getattr(network, part.name)
        if isinstance(inside, ModelConfig):
            check_options(inside, f"{field}.{part.name}")
    models.check(network.name, options(network), where)


def build(network: ModelConfig) -> nn.Module:
    """Return the model of a config."""
    return models.build(network.name, **options(network))


def rebuild(loaded: Weights, network: ModelConfig) -> nn.Module:
    """Return the model of a weights file, computing as a config says."""
    # A network of a user's own need not have it.
    names = {"compute_dtype"} & models.option_names(loaded.model)
    how = {name: getattr(network, name) for name in names}
    return models.build(loaded.model, **{**loaded.options, **how})


def check(network: ModelConfig, field: str, *, out_channels: int, task: str) -> None:
    """Check that a network exists and has the heatmaps of a task.

    Args:
        network: its options.
        field: of the config, such as "model".
        out_channels: heatmaps that the task needs.
        task: name of the task, for the message.

    Raises:
        ValueError: names the field.
    """
    check_options(network, field)
    models.check_answer(network.name, build(network), f"config.{field}")
    if network.out_channels != out_channels:
        raise ValueError(
            f"config.{field}.out_channels must be {out_channels} for the task "
            f"{task!r}; it is {network.out_channels}"
        )


def check_pretrained(network: ModelConfig) -> None:
    """Check that a network has the encoder that pre-training is for.

    Raises:
        ValueError: it is no Swin UNETR.
    """
    if network.name != "swin_unetr":
        raise ValueError(
            "pre-training is for the Swin encoder: config.model.name must be "
            f"'swin_unetr'; it is {network.name!r}"
        )

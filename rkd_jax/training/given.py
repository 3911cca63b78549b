"""Weights files that an experiment starts from, and whether they fit its config."""

import dataclasses
from typing import Any

from rkd_jax import config as schema
from rkd_jax import models, tasks, weights


@dataclasses.dataclass(frozen=True)
class Given:
    """Paths of weights files; empty: none.

    Attributes:
        start: of what the network begins with, instead of random draws.
        teacher: of its teacher.
    """

    start: str = ""
    teacher: str = ""


def check_given(config: schema.Config) -> Given:
    """Find and read the files that a config names.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, it holds another network than the config asks for,
            or one whose images are prepared, or heatmaps read, in another way.
    """
    start = teacher = ""
    if config.init_weights:
        start = _checked(config, config.init_weights, config.model, teacher=False)
    if config.task.distill and config.teacher.weights:
        name, network = config.teacher.weights, config.teacher.model
        teacher = _checked(config, name, network, teacher=True)
    return Given(start, teacher)


def load_network(path: str, wanted: schema.ModelConfig) -> weights.Weights:
    """Read weights of the network that a config asks for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, holds another one, or one made with other options.
    """
    loaded = weights.load(path)
    check_network(path, loaded, wanted)
    return loaded


def check_network(
    path: str, loaded: weights.Weights, wanted: schema.ModelConfig
) -> None:
    """Refuse weights of another network than the config asks for.

    Raises:
        ValueError: the name or an option that decides its parameters differs.
    """
    if loaded.model != wanted.name:
        raise ValueError(
            f"{path} holds weights of {loaded.model}; the config asks for {wanted.name}"
        )
    # A file need not name the options that have their default.
    network = models.build(loaded.model, **loaded.options)
    ignored = {"compute_dtype", "drop_rate"}
    asked = {k: v for k, v in wanted.options().items() if k not in ignored}
    for key, value in asked.items():
        found = getattr(network, key)
        if _listed(found) != _listed(value):
            raise ValueError(
                f"{path} was made with {key} = {found}; the config asks for {value}"
            )


def check_reading(path: str, loaded: weights.Weights, wanted: dict[str, Any]) -> None:
    """Refuse weights whose images are prepared, or heatmaps read, in another way.

    Args:
        path: for the message.
        loaded: what it holds.
        wanted: what they should be (`tasks.must_agree`).

    Raises:
        ValueError: one of them differs.
    """
    for key, value in wanted.items():
        found = loaded.preprocess.get(key)
        if found != value:
            raise ValueError(
                f"{path} was made with {key} = {found}; the config asks for {value}"
            )


def _checked(
    config: schema.Config, name: str, network: schema.ModelConfig, *, teacher: bool
) -> str:
    path = str(weights.find(name))
    loaded = load_network(path, network)
    check_reading(path, loaded, tasks.must_agree(config, teacher=teacher))
    return path


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

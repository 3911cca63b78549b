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
            or, of faces, one whose crops or heatmaps are made in another way.
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
        ValueError: its name differs, or an option other than how it computes
            (`compute_dtype`) and what it drops (`drop_rate`).
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
        _compare(path, key, getattr(network, key), value)


def _checked(
    config: schema.Config, name: str, network: schema.ModelConfig, *, teacher: bool
) -> str:
    path = str(weights.find(name))
    loaded = load_network(path, network)
    for key, value in tasks.shared_preprocess(config, teacher=teacher).items():
        _compare(path, key, loaded.preprocess.get(key), value)
    return path


def _compare(path: str, key: str, found: Any, wanted: Any) -> None:
    if _listed(found) != _listed(wanted):
        raise ValueError(
            f"{path} was made with {key} = {found}; the config asks for {wanted}: "
            "change one of them"
        )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

"""Weights files that a run begins with, and whether they fit its config.

A role says what a file is used for: the network starts from `start`, the loss gets the
frozen network `teacher`; a task may have further roles.
"""

from collections.abc import Collection
from typing import Any

from rkd_jax import config as schema
from rkd_jax import models, tasks, weights
from rkd_jax.tasks import networks


def find_named(config: schema.Config, roles: Collection[str]) -> dict[str, str]:
    """Find and check the files that a config names for some roles; return their paths.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as `load_for`.
    """
    found = {}
    for role, file in config.task.weights_files(config).items():
        if file.path and role in roles:
            found[role] = str(weights.find(file.path))
            load_for(config, role, found[role])
    return found


def load_for(config: schema.Config, role: str, path: str) -> weights.Weights:
    """Read a file for a role.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, it holds another network than the config asks for,
            or its preprocessing differs in what the task compares (`must_agree`).
    """
    loaded = weights.load(path)
    wanted = config.task.weights_files(config).get(role)
    if wanted is not None:
        check_network(path, loaded, wanted.model, wanted.free)
    module = tasks.load(config.task.name)
    facts = module.preprocess(config)
    for key in sorted(module.must_agree(config, role)):
        _compare(path, key, loaded.preprocess.get(key), facts[key])
    return loaded


def check_network(
    path: str,
    loaded: weights.Weights,
    wanted: schema.ModelConfig,
    free: Collection[str] = (),
) -> None:
    """Refuse weights of another network than the config asks for.

    Raises:
        ValueError: its name differs, or an option other than how it computes
            (`compute_dtype`), what it drops (`drop_rate`) and those in `free`.
    """
    if loaded.model != wanted.name:
        raise ValueError(
            f"{path} holds weights of {loaded.model}; the config asks for {wanted.name}"
        )
    # A file need not name the options that have their default.
    network = models.build(loaded.model, **loaded.options)
    asked = networks.stored_options(wanted)
    asked = {name: value for name, value in asked.items() if name not in free}
    _compare_options(path, network, asked)


def _compare_options(
    path: str, network: Any, asked: dict[str, Any], inside: str = ""
) -> None:
    """Compare a network, and those inside it, with what a config asks for."""
    for key, value in asked.items():
        found, name = getattr(network, key), f"{inside}{key}"
        if isinstance(value, dict) and "name" in value:
            _compare(path, f"{name}.name", found["name"], value["name"])
            rest = {part: v for part, v in value.items() if part != "name"}
            _compare_options(path, models.build(**found), rest, f"{name}.")
        elif key != "drop_rate":
            _compare(path, name, found, value)


def _compare(path: str, key: str, found: Any, wanted: Any) -> None:
    if _listed(found) != _listed(wanted):
        raise ValueError(
            f"{path} was made with {key} = {found}; the config asks for {wanted}: "
            "change one of them"
        )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]

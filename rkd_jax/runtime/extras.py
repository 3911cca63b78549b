"""Packages that only some commands need: which extra of rkd_jax installs them."""

from __future__ import annotations

import importlib.util
import sys

EXTRAS = {
    "train": (
        "absl",
        "grain",
        "ml_collections",
        "optax",
        "orbax.checkpoint",
        "tensorboardX",
    ),
    "data": ("skimage", "tensorflow_datasets"),
    "evaluate": ("matplotlib", "sklearn"),
    "cluster": ("distributed",),
}
"""Modules that each extra of `setup.py` brings."""


class MissingExtraError(ImportError):
    """A package of an extra is not installed."""


def install_line(extra: str) -> str:
    """Return the command that installs an extra.

    >>> install_line("train")
    "pip install 'rkd_jax[train]'"
    """
    return f"pip install 'rkd_jax[{extra}]'"


def require(extra: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Args:
        extra: a key of `EXTRAS`.

    Raises:
        MissingExtraError: one is not; the message says how to install it.
    """
    for module in EXTRAS[extra]:
        if not _is_installed(module):
            raise MissingExtraError(_message(module, extra), name=module)


def exit_without(extra: str) -> None:
    """End the process with status 2 and one line if an extra is not installed."""
    try:
        require(extra)
    except MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def advise(error: ImportError) -> str | None:
    """Return how to install what an import did not find; None if no extra brings it.

    >>> advise(ModuleNotFoundError("No module named 'grain'", name="grain"))
    "the package grain is not installed: pip install 'rkd_jax[train]'"
    """
    if isinstance(error, MissingExtraError):
        return str(error)
    top = (error.name or "").split(".")[0]
    for extra, modules in EXTRAS.items():
        if top in {module.split(".")[0] for module in modules}:
            return _message(top, extra)
    return None


def _message(module: str, extra: str) -> str:
    return f"the package {module} is not installed: {install_line(extra)}"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package of a submodule is missing
        return False

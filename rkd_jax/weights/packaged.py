"""The weights that come with the package, by name; without JAX."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parents[1] / "pretrained"
DEFAULT = "small"
RENAMED = {"default": "unet_robust"}
"""Names in version 0.2.0, and what they are now."""


def names() -> list[str]:
    """Return the names, the default first.

    >>> names()[0]
    'small'
    """
    found = (path.stem for path in FOLDER.glob("*.safetensors"))
    return sorted(found, key=lambda name: (name != DEFAULT, name))

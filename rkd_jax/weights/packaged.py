"""The weights that come with the package, by name; without JAX."""

from __future__ import annotations

import pathlib

FOLDER = pathlib.Path(__file__).parents[1] / "pretrained"
DEFAULT = "small"
LESIONS = ("microaneurysms",)
"""Those that find lesions and have the name of what they find."""
CLASSIFIERS: tuple[str, ...] = ()
"""Those that classify images."""
RENAMED = {"default": "unet_robust"}
"""Names in version 0.2.0, and what they are now."""


def names() -> list[str]:
    """Return the names of those that register photographs, the default first.

    >>> names()[0], "microaneurysms" in names()
    ('small', False)
    """
    found = {path.stem for path in FOLDER.glob("*.safetensors")}
    found -= {*LESIONS, *CLASSIFIERS}
    return sorted(found, key=lambda name: (name != DEFAULT, name))

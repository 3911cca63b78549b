"""Pictures of a registration: one kind a file, imported and drawn when asked for.

Keep the import of this module light: the command line reads the names from it.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from rkd_jax.registration.pictures.scene import Scene

    Picture = np.ndarray | list[np.ndarray]

PICTURES = {
    "matches": "rkd_jax.registration.pictures.matches",
    "registered": "rkd_jax.registration.pictures.registered",
    "overlay": "rkd_jax.registration.pictures.overlay",
    "red_cyan": "rkd_jax.registration.pictures.red_cyan",
    "flicker": "rkd_jax.registration.pictures.flicker",
    "side_by_side": "rkd_jax.registration.pictures.side_by_side",
    "error": "rkd_jax.registration.pictures.error",
}
"""Name of a picture -> module, whose `draw` takes a `Scene` and returns the picture,
or the frames of an animation."""
DEFAULT = ("matches", "registered", "overlay")
OF_REFUSED = ("matches",)
"""What is drawn of a pair that is not registered: its transform shows nothing."""
ANIMATED = {"flicker": "gif"}
FORMATS = ("png", "jpg", "tiff")


@dataclasses.dataclass(frozen=True)
class PictureOptions:
    """Which pictures of a pair are written, and in which format.

    Attributes:
        names: keys of `PICTURES`.
        format: one of `FORMATS`; an animation has a format of its own.

    >>> PictureOptions(("overlay", "flicker"), "jpg").files()
    {'overlay': 'overlay.jpg', 'flicker': 'flicker.gif'}
    """

    names: tuple[str, ...] = DEFAULT
    format: str = "png"

    @property
    def own_values(self) -> bool:
        """Whether `registered` keeps the values of its file: TIFF holds any of them."""
        return self.format == "tiff"

    def files(self, *, ok: bool = True) -> dict[str, str]:
        """Return the names of the files by picture, in the order of drawing.

        Args:
            ok: whether the pair is registered.
        """
        drawn = [name for name in PICTURES if name in self.names]
        return {n: file_name(n, self.format) for n in drawn if ok or n in OF_REFUSED}


def load(name: str) -> Callable[[Scene], Picture]:
    """Return the function that draws a picture.

    Args:
        name: a key of `PICTURES`.

    Raises:
        ValueError: no such picture; the message lists them.

    >>> load("overlay").__module__
    'rkd_jax.registration.pictures.overlay'
    """
    check_names([name])
    return importlib.import_module(PICTURES[name]).draw


def file_name(name: str, image_format: str) -> str:
    """Return the name of a picture's file.

    >>> file_name("red_cyan", "tiff")
    'red_cyan.tiff'
    """
    return f"{name}.{ANIMATED.get(name, image_format)}"


def all_files() -> tuple[str, ...]:
    """Return the names of all files that pictures of a pair may have.

    >>> "overlay.tiff" in all_files(), "flicker.png" in all_files()
    (True, False)
    """
    found = (file_name(name, kind) for name in PICTURES for kind in FORMATS)
    return tuple(dict.fromkeys(found))


def parse_names(text: str) -> tuple[str, ...]:
    """Read a list of pictures: names with commas between them, `all` or `none`.

    Raises:
        ValueError: an unknown name; the message lists the known ones.

    >>> parse_names("overlay, matches"), parse_names("none")
    (('matches', 'overlay'), ())
    """
    asked = [word.strip() for word in text.split(",")]
    if asked in (["all"], ["none"]):
        return tuple(PICTURES) if asked == ["all"] else ()
    check_names(asked)
    return tuple(name for name in PICTURES if name in asked)


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError unless all are names of pictures."""
    if unknown := [name for name in names if name not in PICTURES]:
        raise ValueError(
            f"unknown picture {unknown[0]!r}; expected names with commas between them, "
            f"of {', '.join(PICTURES)}; or all, or none"
        )

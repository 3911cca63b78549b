"""Write a transform for other programs: one format a module.

`docs/registration.md` says how each program reads its file.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable

from rkd_jax.registration.export_formats import FORMATS as FILES
from rkd_jax.registration.exports import bigwarp, itk, opencv, qupath
from rkd_jax.registration.mapped import Mapped
from rkd_jax.registration.matching.matches import Matches

Writer = Callable[[pathlib.Path], None]


def writers(
    mapped: Mapped, names: Iterable[str], inliers: Callable[[], Matches]
) -> dict[str, Writer]:
    """Return what writes the files of formats, by name of the file.

    Args:
        mapped: a registered pair.
        names: of formats, keys of `FILES`.
        inliers: returns the matches that the fit kept; called only if a format needs
            them.

    Raises:
        OSError, ValueError: by `inliers`.
    """
    found: dict[str, Writer] = {}
    for name in names:
        if name == "bigwarp":
            text = bigwarp.landmarks(inliers()).encode()
            found[FILES[name]] = _of_text(text)
        elif name == "qupath":
            found[FILES[name]] = _of_text(qupath.affine(mapped).encode())
        else:
            found[FILES[name]] = _of_field(mapped, name)
    return found


def _of_text(text: bytes) -> Writer:
    def write(path: pathlib.Path) -> None:
        path.write_bytes(text)

    return write


def _of_field(mapped: Mapped, name: str) -> Writer:
    module = {"itk": itk, "opencv": opencv}[name]

    def write(path: pathlib.Path) -> None:
        module.write(path, mapped)

    return write

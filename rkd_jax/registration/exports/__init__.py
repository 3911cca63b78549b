"""Write a transform for other programs: one format a module.

`docs/registration.md` says how each program reads its file.
"""

from __future__ import annotations

import functools
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
    fields = {
        "itk": functools.partial(itk.write, mapped=mapped),
        "slicer": functools.partial(itk.write, mapped=mapped, dimensions=3),
        "opencv": functools.partial(opencv.write, mapped=mapped),
    }
    texts = {
        "bigwarp": lambda: bigwarp.landmarks(inliers()),
        "qupath": lambda: qupath.affine(mapped),
    }
    return {
        FILES[name]: fields[name] if name in fields else _of_text(texts[name]())
        for name in names
    }


def _of_text(text: str) -> Writer:
    def write(path: pathlib.Path) -> None:
        path.write_bytes(text.encode())

    return write

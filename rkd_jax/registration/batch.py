"""Register a pair of files and write its results."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.registration.files import outputs, transform_file
from rkd_jax.registration.files.landmarks import check_inside
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matcher import Matcher
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.pictures import PictureOptions


@dataclasses.dataclass(frozen=True)
class Work:
    """How pairs are registered, and what is written.

    Attributes:
        matcher: finds the transforms.
        method: keyword arguments of `matcher.register`.
        settings: all that a result depends on, JSON-like.
        pictures: which are drawn.
        export: formats of other programs to write, of `exports.FILES`.
    """

    matcher: Matcher
    method: dict[str, Any]
    settings: dict[str, Any]
    pictures: PictureOptions = dataclasses.field(default_factory=PictureOptions)
    export: tuple[str, ...] = ()


def register_files(
    work: Work,
    names: tuple[str, str],
    out: pathlib.Path,
    *,
    points: np.ndarray | None = None,
    points_name: str = "",
) -> dict[str, Any]:
    """Register the pair of two files, write its files and return the summary.

    Args:
        work: how.
        names: of the fixed and the moving file.
        out: folder of the pair.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        points_name: their file, for an error.

    Raises:
        Exception: whatever goes wrong with a file; the message or its note names it.
    """
    began = time.perf_counter()
    try:
        photos = work.matcher.photos(names)
        if points is not None:
            check_inside(points, photos[1].file_size, points_name)
        return register_photos(work, names, photos, out, began=began, points=points)
    except Exception as error:
        if not any(name and name in str(error) for name in (*names, points_name)):
            error.add_note(f"fixed {names[0]}, moving {names[1]}")
        raise


def register_photos(
    work: Work,
    names: tuple[str, str],
    photos: Sequence[Photo],
    out: pathlib.Path,
    *,
    began: float,
    points: np.ndarray | None = None,
    curvature: Curvature | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Register two photographs, write the files of the pair and return its summary.

    Args:
        work: how.
        names: of the fixed and the moving file.
        photos: what they show.
        out: folder of the pair.
        began: when the work on the pair began, by `time.perf_counter`.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        curvature: of the camera, if that is known.
        more: further keys of the summary.
    """
    found = work.matcher.register(*photos, **work.method, curvature=curvature)
    files = outputs.results(
        found, photos, points, pictures=work.pictures, export=work.export
    )
    summary = transform_file.describe(found, names, work.settings, more or {})
    if scale := outputs.registered_scale(files, photos[1], work.pictures):
        summary["registered_scale"] = scale
    summary["seconds"] = round(time.perf_counter() - began, 3)
    outputs.write(out, files, transform_file.to_text(summary) + "\n")
    return summary

"""Refuse, before any work, folders where results would replace files of others."""

from __future__ import annotations

import itertools
import os
import pathlib
import tempfile
from collections.abc import Iterable, Sequence

from rkd_jax.files import own_files
from rkd_jax.registration.files import outputs
from rkd_jax.registration.files.pair_names import CAMERA, TABLE, same_up_to_case
from rkd_jax.registration.files.pairs import Pair


def claim_one(
    out: pathlib.Path,
    inputs: Iterable[str],
    *,
    pictures: bool,
    points: bool,
    export: Sequence[str] = (),
) -> None:
    """Refuse a folder where one pair's results would replace files of others."""
    names = outputs.names(pictures=pictures, points=points, export=export)
    removable = [out / name for name in outputs.ALL]
    own_files.claim([out / name for name in names], removable=removable, inputs=inputs)


def claim_many(
    out: pathlib.Path,
    pairs: Sequence[Pair],
    inputs: Iterable[str],
    *,
    pictures: bool,
    one_camera: bool,
    export: Sequence[str] = (),
) -> None:
    """Refuse a folder where results of pairs would replace files or one another.

    Args:
        out: folder of the run.
        pairs: of the run.
        inputs: files that the run reads, besides the images of the pairs.
        pictures: whether they are drawn.
        one_camera: whether a camera is written.
        export: formats of other programs that are written.

    Raises:
        OSError: a file is in the way; the message names it.
        ValueError: two pairs have one folder.
    """
    both = same_up_to_case(pairs)
    if both and _ignores_case(out):
        raise ValueError(
            f"{out}: pairs {both[0]!r} and {both[1]!r} would have one folder, as this "
            "file system ignores case; rename one"
        )
    for pair in pairs:
        folder = out / pair.name
        if os.path.lexists(folder) and not folder.is_dir():
            raise FileExistsError(
                f"{folder}: a file, where the results of a pair need a folder; choose "
                "another --out, or move the file away"
            )
    names = outputs.names(pictures=pictures, points=False, export=export)
    own_files.claim(
        itertools.chain(
            [out / TABLE, *([out / CAMERA] if one_camera else [])],
            (out / pair.name / name for pair in pairs for name in names),
        ),
        removable=(out / pair.name / name for pair in pairs for name in outputs.ALL),
        inputs=[
            *inputs,
            *(str(p) for pair in pairs for p in (pair.fixed, pair.moving)),
        ],
    )


def _ignores_case(folder: pathlib.Path) -> bool:
    """Try whether a file system takes upper and lower case for the same."""
    place = next(p for p in (folder, *folder.absolute().parents) if p.is_dir())
    with tempfile.TemporaryDirectory(prefix="Rkd_Jax_", dir=place) as probe:
        path = pathlib.Path(probe)
        return (path.parent / path.name.swapcase()).exists()

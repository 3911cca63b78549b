"""Refuse, before any work, folders where results would replace files of others."""

from __future__ import annotations

import functools
import os
import pathlib
from collections.abc import Iterable, Sequence

from rkd_jax.files import own_files
from rkd_jax.files.folder_names import ignores_case
from rkd_jax.registration.files import outputs
from rkd_jax.registration.files.pair_names import CAMERA, TABLE, same_up_to_case
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.pictures import PictureOptions


def claim_one(
    out: pathlib.Path,
    inputs: Iterable[str],
    *,
    pictures: PictureOptions,
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
    pictures: PictureOptions,
    one_camera: bool,
    export: Sequence[str] = (),
) -> None:
    """Refuse a folder where results of pairs would replace files or one another.

    Args:
        out: folder of the run.
        pairs: of the run.
        inputs: files that the run reads, besides the images of the pairs.
        pictures: which are drawn.
        one_camera: whether a camera is written.
        export: formats of other programs that are written.

    Raises:
        OSError: a file is in the way; the message names it.
        ValueError: two pairs have one folder.
    """
    both = same_up_to_case(pairs)
    if both and ignores_case(out):
        raise ValueError(
            f"{out}: pairs {both[0]!r} and {both[1]!r} would have one folder, as this "
            "file system ignores case; rename one"
        )
    more = [out / TABLE, *([out / CAMERA] if one_camera else [])]
    own_files.claim(more, inputs=inputs)
    photographs = _Photographs(out, pairs)
    names = outputs.names(pictures=pictures, points=False, export=export)
    for pair in pairs:
        folder = out / pair.name
        exists = os.path.lexists(folder)
        if exists and not folder.is_dir():
            raise FileExistsError(
                f"{folder}: a file, where the results of a pair need a folder; choose "
                "another --out, or move the file away"
            )
        # A folder that is not there yet holds nothing that could be replaced.
        if exists or photographs.may_lie_in_results:
            own_files.claim(
                [folder / name for name in names],
                removable=[folder / name for name in outputs.ALL],
                inputs=photographs.inputs,
            )


class _Photographs:
    """The photographs of pairs, looked up only if one might be replaced."""

    def __init__(self, out: pathlib.Path, pairs: Sequence[Pair]) -> None:
        self._paths = lambda: (p for pair in pairs for p in (pair.fixed, pair.moving))
        inside = os.path.join(os.path.abspath(out), "")
        self.may_lie_in_results = any(
            os.path.abspath(path).startswith(inside) for path in self._paths()
        )

    @functools.cached_property
    def inputs(self) -> own_files.Inputs:
        return own_files.Inputs(self._paths())

"""One process that registers pairs of many: it skips what is finished."""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from rkd_jax.files import own_files
from rkd_jax.files.json_files import json_object
from rkd_jax.registration import exports
from rkd_jax.registration.batch import Work, register_photos
from rkd_jax.registration.files import outputs
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.fitting.calibrate import curvature_of
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.many import Photographs, Use, name_files
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.recipe import Recipe
from rkd_jax.registration.table import Result
from rkd_jax.runtime.command import describe_error


class Runner:
    """Registers pairs; keeps the photographs that later pairs need.

    Args:
        recipe: how.
        out: each pair gets a folder of its name there.
        base: relative paths of photographs, and `out`, are of this folder.

    Raises:
        OSError, ValueError: the weights cannot be used.
    """

    def __init__(
        self, recipe: Recipe, out: pathlib.Path, base: pathlib.Path = pathlib.Path()
    ) -> None:
        self._given_out, self._base, self._out = out, base, base / out
        self._work = work = recipe.work(base)
        self.facts = work.settings
        self._photographs = Photographs(
            work.matcher, keep_pixels=bool(work.pictures.names)
        )

    def register(self, use: Use, curvature: Curvature | None = None) -> Result:
        """Register a pair that is not finished; whatever goes wrong is its error.

        Args:
            use: the pair.
            curvature: of the camera that took it, if that is known.
        """
        began = time.perf_counter()
        more: dict[str, Any] = {}
        if curvature is not None:
            more["camera_curvature"] = curvature.mean
        pair, folder = use.pair, self._out / use.pair.name
        try:
            digests = digests_of(pair, self._base)
            if None not in digests:
                more["sha256"] = digests
                summary = _finished(folder, more, self._work)
                if summary is not None:
                    return Result(pair, summary)
            photos = self._photos(use, digests)
            summary = register_photos(
                self._work,
                (str(pair.fixed), str(pair.moving)),
                photos,
                folder,
                began=began,
                curvature=curvature,
                more=more,
            )
            return Result(pair, summary)
        except Exception as error:
            name_files(error, pair)
            return Result(pair, None, self._as_given(describe_error(error), pair))

    def estimate(self, use: Use) -> tuple[float, float] | None:
        """Estimate the curvature of the camera that took a pair.

        Args:
            use: the pair.

        Returns:
            It and its standard deviation; None of a pair that is not registered.
        """
        try:
            photos = self._photos(use, digests_of(use.pair, self._base))
            found = self._work.matcher.register(*photos, **self._work.method)
            return curvature_of(found)
        except Exception:
            return None  # the pair's error comes when it is registered

    def _photos(self, use: Use, digests: Sequence[str | None]) -> tuple[Photo, Photo]:
        paths = [self._base / path for path in (use.pair.fixed, use.pair.moving)]
        # What cannot be read now may be another file later: its path is its key.
        keys = [
            digest or str(path) for digest, path in zip(digests, paths, strict=True)
        ]
        photos = self._photographs.of(paths, keys, use)
        if None in digests:
            raise OSError("a photograph could not be read at first; start again")
        return photos

    def _as_given(self, text: str, pair: Pair) -> str:
        """Return an error with the paths as the user gave them."""
        for path in (pair.fixed, pair.moving, self._given_out):
            text = text.replace(str(self._base / path), str(path))
        return text


def digests_of(pair: Pair, base: pathlib.Path = pathlib.Path()) -> list[str | None]:
    """Return the SHA-256 of both photographs; None of one that cannot be read."""
    found: list[str | None] = []
    for path in (pair.fixed, pair.moving):
        try:
            found.append(own_files.digest(base / path))
        except OSError:
            found.append(None)
    return found


def _finished(
    folder: pathlib.Path, more: dict[str, Any], work: Work
) -> dict[str, Any] | None:
    """Return the summary of a pair that was registered (and drawn) so, or None."""
    summary = json_object(folder / outputs.SUMMARY)
    wanted = json.loads(json.dumps({**more, "settings": work.settings}))
    matches = all(summary.get(key) == value for key, value in wanted.items())
    if not (matches and "ok" in summary and "reason" in summary):
        return None
    ok = bool(summary["ok"])
    drawn = work.pictures.files(ok=ok).values()
    exported = [exports.FILES[name] for name in work.export] if ok else []
    files = (outputs.MATCHES, *drawn, *exported)
    return summary if all((folder / name).is_file() for name in files) else None

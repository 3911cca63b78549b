"""Register pairs of files and write what comes out: one pair, or many in turn."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.registration.files import outputs
from rkd_jax.registration.files.landmarks import check_inside
from rkd_jax.registration.files.pair_names import CAMERA, TABLE, same_up_to_case
from rkd_jax.registration.files.predictions import Pair, table_text
from rkd_jax.registration.fitting import calibrate
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matcher import Matcher
from rkd_jax.runtime.command import describe_error, portable


@dataclasses.dataclass(frozen=True)
class Work:
    """How pairs are registered, and what is written.

    Attributes:
        matcher: finds the transforms.
        method: keyword arguments of `matcher.register`.
        settings: all that a result depends on, JSON-like.
        pictures: whether to draw.
    """

    matcher: Matcher
    method: dict[str, Any]
    settings: dict[str, Any]
    pictures: bool = True


@dataclasses.dataclass(frozen=True)
class Result:
    """What became of a pair: its summary, or an error."""

    name: str
    summary: dict[str, Any] | None
    error: str = ""

    def row(self) -> dict[str, Any]:
        """Return the pair's line of `pairs.csv`."""
        summary = self.summary
        if summary is None:
            summary = {"ok": False, "reason": f"error: {self.error}"}
        return {
            "name": self.name,
            "ok": summary["ok"],
            "confidence": summary.get("confidence"),
            "family": (summary.get("transform") or {}).get("family", ""),
            "matches": summary.get("matches"),
            "inliers": summary.get("inliers"),
            "reason": summary["reason"],
        }


def claim_one(
    out: pathlib.Path, inputs: Iterable[str], *, pictures: bool, points: bool
) -> None:
    """Refuse a folder where one pair's results would replace somebody's files."""
    names = outputs.names(pictures=pictures, points=points)
    removable = [out / name for name in outputs.ALL]
    own_files.claim([out / name for name in names], removable=removable, inputs=inputs)


def claim_many(
    out: pathlib.Path,
    pairs: Sequence[Pair],
    inputs: Iterable[str],
    *,
    pictures: bool,
    one_camera: bool,
) -> None:
    """Refuse a folder where results of pairs would replace files or one another.

    Args:
        out: folder of the run.
        pairs: of the run.
        inputs: files that the run reads, besides the images of the pairs.
        pictures: whether they are drawn.
        one_camera: whether a camera is written.

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
    names = outputs.names(pictures=pictures, points=False)
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


def register_files(
    work: Work,
    names: tuple[str, str],
    out: pathlib.Path,
    *,
    points: np.ndarray | None = None,
    points_name: str = "",
    curvature: Curvature | None = None,
    more: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Register the pair of two files, write its files and return the summary.

    Args:
        work: how.
        names: of the fixed and the moving file.
        out: folder of the pair.
        points: landmarks `[N, 2]` of the moving image to map, or None.
        points_name: their file, for an error.
        curvature: of the camera, if it is known.
        more: further entries of the summary.

    Raises:
        Exception: whatever goes wrong with a file; the message or its note names it.
    """
    try:
        fixed, moving = work.matcher.photos(names)
        if points is not None:
            check_inside(points, moving.file_size, points_name)
        found = work.matcher.register(fixed, moving, **work.method, curvature=curvature)
        files = outputs.results(
            found, fixed.original, moving.original, points, pictures=work.pictures
        )
    except Exception as error:
        if not any(name and name in str(error) for name in (*names, points_name)):
            error.add_note(f"fixed {names[0]}, moving {names[1]}")
        raise
    summary = {
        "fixed": portable(names[0]),
        "moving": portable(names[1]),
        **found.to_dict(),
        "settings": work.settings,
        **(more or {}),
    }
    if "registered.png" in files and moving.original.dtype != np.uint8:
        # Times what a value of the file is of its 65535.
        summary["registered_scale"] = outputs.display_scale(moving.original)
    outputs.write(out, files, json.dumps(summary, indent=2) + "\n")
    return summary


def register_all(
    work: Work, pairs: Sequence[Pair], out: pathlib.Path, *, one_camera: bool = False
) -> Iterator[Result]:
    """Register pairs that are not finished, and yield what became of each.

    Whatever goes wrong with a pair is its error; the others go on.

    Args:
        work: how.
        pairs: which; each gets a folder of its name in `out`.
        out: folder.
        one_camera: find the curvature that all of them share first.

    Raises:
        OSError: `camera.json` cannot be written.
    """
    digests = _Digests()
    curvature = _camera(work, pairs, digests, out) if one_camera else None
    more = {} if curvature is None else {"camera_curvature": curvature.mean}
    for pair in pairs:
        record = {**more, "sha256": digests.of(pair)}
        wanted = {**record, "settings": work.settings}
        try:
            summary = _finished(out / pair.name, wanted, pictures=work.pictures)
            if summary is None:
                summary = register_files(
                    work,
                    (str(pair.fixed), str(pair.moving)),
                    out / pair.name,
                    curvature=curvature,
                    more=record,
                )
        except Exception as error:
            yield Result(pair.name, None, describe_error(error))
        else:
            yield Result(pair.name, summary)


def write_table(out: pathlib.Path, results: Sequence[Result]) -> None:
    """Write `pairs.csv`: one line for each result."""
    own_files.write_text(out / TABLE, table_text([result.row() for result in results]))


class _Digests:
    """SHA-256 of photographs; of one in many pairs it is computed once."""

    def __init__(self) -> None:
        self._one = functools.cache(self._compute)

    @staticmethod
    def _compute(path: pathlib.Path) -> str:
        try:
            return own_files.digest(path)
        except OSError as error:
            return f"unreadable: {error.strerror}"

    def of(self, pair: Pair) -> list[str]:
        """Return the digests of a pair; of one that cannot be read why, alone."""
        both = [self._one(path) for path in (pair.fixed, pair.moving)]
        return next(([one] for one in both if one.startswith("unreadable")), both)


def _finished(
    folder: pathlib.Path, wanted: dict[str, Any], *, pictures: bool
) -> dict[str, Any] | None:
    """Return the summary of a pair that was registered (and drawn) so, or None."""
    if pictures and not (folder / "matches.png").is_file():
        return None
    summary = _json_object(folder / outputs.SUMMARY)
    same = json.loads(json.dumps(wanted))
    matches = all(summary.get(key) == value for key, value in same.items())
    return summary if matches and "ok" in summary and "reason" in summary else None


def _json_object(path: pathlib.Path) -> dict[str, Any]:
    """Return what a JSON file says; nothing if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _camera(
    work: Work, pairs: Sequence[Pair], digests: _Digests, out: pathlib.Path
) -> Curvature:
    """Return the curvature that all pairs share, from `camera.json` if it is theirs."""
    known_of = {pair.name: digests.of(pair) for pair in pairs}
    record = {"settings": work.settings, "sha256": known_of}
    record = json.loads(json.dumps(record))
    path = out / CAMERA
    known = _json_object(path)
    if all(known.get(key) == value for key, value in record.items()):
        return Curvature(**known["curvature"])
    registrations = []
    for pair in pairs:
        try:
            found = work.matcher.register(pair.fixed, pair.moving, **work.method)
        except Exception:
            continue  # reported when its turn comes
        registrations.append(found)
    found = calibrate.calibrate(registrations)
    shown = {"mean": found.mean, "sd": found.sd, "source": found.source}
    own_files.write_text(
        path, json.dumps({"curvature": shown, **record}, indent=2) + "\n"
    )
    return found

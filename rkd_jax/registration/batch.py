"""Register pairs of files and write what comes out: one pair, or many in turn."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.registration import exports
from rkd_jax.registration.files import outputs, transform_file
from rkd_jax.registration.files.landmarks import check_inside
from rkd_jax.registration.files.pair_names import CAMERA, TABLE
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.many import (
    Photographs,
    find_camera,
    register_each,
)
from rkd_jax.registration.matcher import Matcher
from rkd_jax.registration.photo import Photo
from rkd_jax.runtime.command import describe_error

_UNREADABLE = "unreadable: "  # in place of a digest


@dataclasses.dataclass(frozen=True)
class Work:
    """How pairs are registered, and what is written.

    Attributes:
        matcher: finds the transforms.
        method: keyword arguments of `matcher.register`.
        settings: all that a result depends on, JSON-like.
        pictures: whether to draw.
        export: formats of other programs to write, of `exports.FILES`.
    """

    matcher: Matcher
    method: dict[str, Any]
    settings: dict[str, Any]
    pictures: bool = True
    export: tuple[str, ...] = ()


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
    try:
        photos = work.matcher.photos(names)
        if points is not None:
            check_inside(points, photos[1].file_size, points_name)
        return _register(work, names, photos, out, points=points)
    except Exception as error:
        if not any(name and name in str(error) for name in (*names, points_name)):
            error.add_note(f"fixed {names[0]}, moving {names[1]}")
        raise


def _register(
    work: Work,
    names: tuple[str, str],
    photos: Sequence[Photo],
    out: pathlib.Path,
    *,
    points: np.ndarray | None = None,
    curvature: Curvature | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Register two photographs, write the files of the pair and return its summary."""
    found = work.matcher.register(*photos, **work.method, curvature=curvature)
    fixed, moving = (photo.original for photo in photos)
    files = outputs.results(
        found, fixed, moving, points, pictures=work.pictures, export=work.export
    )
    summary = transform_file.describe(found, names, work.settings, more or {})
    if "registered.png" in files and moving.dtype != np.uint8:
        # Times what a value of the file is of its 65535.
        summary["registered_scale"] = outputs.display_scale(moving)
    outputs.write(out, files, transform_file.to_text(summary) + "\n")
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
    paths = {path for pair in pairs for path in (pair.fixed, pair.moving)}
    digests = {path: _digest(path) for path in paths}
    sha256 = {pair.name: _digests_of(pair, digests) for pair in pairs}
    record = {"settings": work.settings, "sha256": sha256}
    curvature = _known_camera(out, record) if one_camera else None
    calibrates = one_camera and curvature is None
    photographs = Photographs(
        work.matcher,
        pairs,
        # What cannot be read now may be another file later: its path tells it apart.
        {p: str(p) if d.startswith(_UNREADABLE) else d for p, d in digests.items()},
        rounds=1 + calibrates,
        keep_pixels=work.pictures,
    )
    if calibrates:
        curvature = find_camera(
            photographs,
            pairs,
            lambda _, fixed, moving: work.matcher.register(
                fixed, moving, **work.method
            ),
        )
        _write_camera(out, curvature, record)
    more = {} if curvature is None else {"camera_curvature": curvature.mean}

    def known(pair: Pair) -> dict[str, Any] | None:
        wanted = {**more, "sha256": sha256[pair.name], "settings": work.settings}
        return _finished(out / pair.name, wanted, work)

    def register(pair: Pair, fixed: Photo, moving: Photo) -> dict[str, Any]:
        return _register(
            work,
            (str(pair.fixed), str(pair.moving)),
            (fixed, moving),
            out / pair.name,
            curvature=curvature,
            more={**more, "sha256": sha256[pair.name]},
        )

    for pair, found in register_each(photographs, pairs, register, known=known):
        if isinstance(found, Exception):
            yield Result(pair.name, None, describe_error(found))
        else:
            yield Result(pair.name, found)


def write_table(out: pathlib.Path, results: Sequence[Result]) -> None:
    """Write `pairs.csv`: one line for each result."""
    own_files.write_text(out / TABLE, csv_text([result.row() for result in results]))


def _digest(path: pathlib.Path) -> str:
    """Return a file's SHA-256, or why it cannot be read."""
    try:
        return own_files.digest(path)
    except OSError as error:
        return f"{_UNREADABLE}{error.strerror}"


def _digests_of(pair: Pair, digests: Mapping[pathlib.Path, str]) -> list[str]:
    """Return the digests of a pair; of one that cannot be read why, alone."""
    both = [digests[path] for path in (pair.fixed, pair.moving)]
    return next(([one] for one in both if one.startswith(_UNREADABLE)), both)


def _finished(
    folder: pathlib.Path, wanted: dict[str, Any], work: Work
) -> dict[str, Any] | None:
    """Return the summary of a pair that was registered (and drawn) so, or None."""
    if work.pictures and not (folder / "matches.png").is_file():
        return None
    summary = _json_object(folder / outputs.SUMMARY)
    same = json.loads(json.dumps(wanted))
    matches = all(summary.get(key) == value for key, value in same.items())
    if not (matches and "ok" in summary and "reason" in summary):
        return None
    exported = [exports.FILES[name] for name in work.export]
    if summary["ok"] and not all((folder / name).is_file() for name in exported):
        return None
    return summary


def _json_object(path: pathlib.Path) -> dict[str, Any]:
    """Return what a JSON file says; nothing if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _known_camera(out: pathlib.Path, record: dict[str, Any]) -> Curvature | None:
    """Return the curvature in `camera.json` if it is of these pairs and settings."""
    known = _json_object(out / CAMERA)
    wanted = json.loads(json.dumps(record))
    if any(known.get(key) != value for key, value in wanted.items()):
        return None
    return Curvature(**known["curvature"])


def _write_camera(
    out: pathlib.Path, curvature: Curvature, record: dict[str, Any]
) -> None:
    content = {"curvature": dataclasses.asdict(curvature), **record}
    own_files.write_text(out / CAMERA, json.dumps(content, indent=2) + "\n")

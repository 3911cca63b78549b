"""Maps of lesions, found, saved as 16-bit pictures as it goes, and read again.

A map is `maps/ROW/NAME.png`, whose values are the levels of
`rkd_jax.metrics.lesions.curves`; `predictions.json` holds the settings, and of each map
the SHA-256 of its photograph and its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from rkd_jax.data.lesion_folders import LesionPhotograph
from rkd_jax.evaluation.predictions import refuse_other_settings
from rkd_jax.files import own_files
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.reading import read_image
from rkd_jax.images.stored import read_stored
from rkd_jax.lesions.detector import LesionDetector, NoFundusError
from rkd_jax.lesions.fusion import FUSIONS, fuse, needs_classifier
from rkd_jax.metrics.lesions.curves import to_levels
from rkd_jax.runtime.many import progress, saving

PREDICTIONS = "predictions.json"
MAPS, HEALTHY = "maps", "healthy_maps"
CLS = "cls_"
"""Begins the names of rows whose classifier is that of a second weights file."""

Find = Callable[[pathlib.Path, Collection[str]], Mapping[str, np.ndarray]]
"""`(photograph, rows) -> float map [H, W] of each row`."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """What `predictions.json` holds of one map.

    Attributes:
        image: SHA-256 of the photograph.
        size: (width, height) of the photograph.
        sha256: of the map's file.
        refused: why the detector takes the photograph for none of a fundus; its map is
            0 then. Empty otherwise.
    """

    image: str
    size: tuple[int, int]
    sha256: str
    refused: str = ""


@dataclasses.dataclass(frozen=True)
class Job:
    """A photograph whose maps are wanted.

    Attributes:
        photograph: with its name and file.
        rows: which maps.
        folder: `MAPS` or `HEALTHY`.
    """

    photograph: LesionPhotograph
    rows: tuple[str, ...]
    folder: str = MAPS

    def files(self) -> dict[str, str]:
        """Return row -> path of the map below the folder of the run.

        >>> Job(LesionPhotograph("a", pathlib.Path("a.jpg")), ("full",)).files()
        {'full': 'maps/full/a.png'}
        """
        name = self.photograph.name
        return {row: f"{self.folder}/{row}/{name}.png" for row in self.rows}


def finder(detector: LesionDetector, cls: LesionDetector | None = None) -> Find:
    """Return what makes the maps of rows.

    Args:
        detector: of all rows but those of `CLS`.
        cls: whose classifier refines the maps of `CLS` rows; its proposal networks must
            be those of `detector`.

    Raises:
        ValueError: the proposal networks differ.
    """
    if cls is not None:
        detector.share_proposals(cls)
    weights = [one.settings.classifier_weight for one in (detector, cls) if one]

    def find(path: pathlib.Path, rows: Collection[str]) -> dict[str, np.ndarray]:
        own = [fusion_of(row) for row in rows if not row.startswith(CLS)]
        parts = [detector.maps(path, refined=any(map(needs_classifier, own)))]
        if any(row.startswith(CLS) for row in rows):
            assert cls is not None
            parts.append(cls.maps(path))
        # As in `detect`: a geometric mean is never 0, a map outside the field is.
        lit = (parts[0]["full"] > 0) | (parts[0]["half"] > 0)
        return {
            row: lit
            * fuse(
                parts[row.startswith(CLS)],
                fusion_of(row),
                classifier_weight=weights[row.startswith(CLS)],
            )
            for row in rows
        }

    return find


def fusion_of(row: str) -> str:
    """Return the fusion of a row.

    >>> fusion_of("full"), fusion_of("cls_geometric")
    ('full', 'refined_geometric')
    """
    return row if row in FUSIONS else f"refined_{row.removeprefix(CLS)}"


def predict(
    jobs: Sequence[Job],
    find: Find,
    out: pathlib.Path,
    settings: dict[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Make and save all maps that are not there from the same settings.

    Args:
        jobs: what is wanted.
        find: makes maps.
        out: folder of the run.
        settings: all that maps depend on besides photograph and row; JSON-like. "cls"
            has those of the second weights file, None without one.
        overwrite: drop maps of other settings; else they are refused.

    Raises:
        ValueError: the folder holds maps from other settings, or `find` fails.
    """
    path = out / PREDICTIONS
    saved: dict[str, Saved] = {}
    if path.exists() and not overwrite:
        old, saved = load_predictions(path)
        settings = _joined(path, old, settings)
    left = []
    for job in jobs:
        image = own_files.digest(job.photograph.image)
        if rows := [
            r for r, f in job.files().items() if not _done(out, f, saved, image)
        ]:
            left.append((dataclasses.replace(job, rows=tuple(rows)), image))

    def save() -> None:
        maps = {name: dataclasses.asdict(one) for name, one in sorted(saved.items())}
        text = json.dumps({"settings": settings, "maps": maps}, indent=1)
        own_files.write_text(path, text + "\n")

    with saving(save) as changed:
        for job, image in progress(left, "photograph"):
            maps, refused = _found(job, find)
            for row, name in job.files().items():
                levels = to_levels(maps[row])
                own_files.write_bytes(out / name, encode_png(levels))
                size = levels.shape[1], levels.shape[0]
                digest = own_files.digest(out / name)
                saved[name] = Saved(image, size, digest, refused)
            changed()


def _joined(
    path: pathlib.Path, old: dict[str, Any], settings: dict[str, Any]
) -> dict[str, Any]:
    """Refuse other settings; return those of all maps, old and new.

    The second weights file changes its own rows alone: to add it, or to leave it out,
    leaves all other maps as they are.
    """
    known, wanted = old.get("cls"), settings.get("cls")
    if known and wanted:
        refuse_other_settings(path, old, settings)
    else:
        refuse_other_settings(path, {**old, "cls": None}, {**settings, "cls": None})
    return {**settings, "cls": wanted or known}


def _done(out: pathlib.Path, name: str, saved: Mapping[str, Saved], image: str) -> bool:
    known = saved.get(name)
    return (
        known is not None
        and known.image == image
        and (out / name).is_file()
        and own_files.digest(out / name) == known.sha256
    )


def _found(job: Job, find: Find) -> tuple[Mapping[str, np.ndarray], str]:
    """Return the maps of a photograph, and why they are 0 if it is refused."""
    path = job.photograph.image
    try:
        maps = find(path, job.rows)
    except NoFundusError as error:
        nothing = np.zeros(read_image(path).shape[:2], np.float32)
        return dict.fromkeys(job.rows, nothing), str(error)
    except Exception as error:
        if str(path) not in str(error):
            error.add_note(f"photograph {path}")
        raise
    return maps, ""


def load_predictions(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Saved]]:
    """Read `predictions.json`: the settings, and what it holds of each map.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a file of predictions.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of predictions")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        maps = {
            name: Saved(**{**facts, "size": tuple(facts["size"])})
            for name, facts in content["maps"].items()
        }
        return dict(content["settings"]), maps
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path}: not a complete file of predictions ({error!r}); delete it, or "
            "choose another --out"
        ) from None


def load_map(out: pathlib.Path, name: str, saved: Mapping[str, Saved]) -> np.ndarray:
    """Read a saved map.

    Args:
        out: folder of the run.
        name: path below it, see `Job.files`.
        saved: of `load_predictions`.

    Returns:
        uint16 `[H, W]`.

    Raises:
        FileNotFoundError: there is no such map.
        ValueError: it is damaged, or has another size than its photograph.
    """
    path, known = out / name, saved.get(name)
    if known is None or not path.is_file():
        raise FileNotFoundError(
            f"{path}: no map of this photograph; run the command again to make it"
        )
    levels = read_stored(path).pixels
    width, height = known.size
    if levels.shape != (height, width) or levels.dtype != np.uint16:
        found = "x".join(map(str, levels.shape[1::-1]))
        raise ValueError(
            f"{path}: a map of {levels.dtype} with {found} px; expected 16 bits and "
            f"{width}x{height} px as its photograph: delete it and run again"
        )
    return levels

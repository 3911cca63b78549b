"""The files of a photograph: map, mask, list, overlay and summary."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.images.pictures import encode
from rkd_jax.lesions.overlay import draw_overlay
from rkd_jax.lesions.result import Lesion, LesionMap

SUMMARY, LESIONS = "summary.json", "lesions.csv"
PROBABILITY, FLOAT = "probability.png", "probability.tif"
MASK, OVERLAY = "mask.png", "overlay.png"
TABLE = "photographs.csv"
"""Of many photographs."""
ALL = (PROBABILITY, FLOAT, MASK, LESIONS, OVERLAY, SUMMARY)
_LEVELS = 65535  # of 16 bits


def names(*, as_float: bool) -> tuple[str, ...]:
    """Return the names of the files of a photograph with a result.

    Args:
        as_float: write the map as 32-bit numbers, too.
    """
    return tuple(name for name in ALL if as_float or name != FLOAT)


def make_files(
    image: np.ndarray, found: LesionMap, *, as_float: bool
) -> dict[str, bytes]:
    """Return the files of a result by their names, without the summary.

    Args:
        image: as read.
        found: in it; nothing is written of an image that was refused.
        as_float: see `names`.
    """
    if not found.ok:
        return {}
    levels = np.rint(found.probability * _LEVELS).astype(np.uint16)
    files = {
        PROBABILITY: encode(levels, "png"),
        MASK: encode(found.mask.astype(np.uint8) * 255, "png"),
        LESIONS: _lesions(found).encode(),
        OVERLAY: encode(draw_overlay(image, found), "png"),
    }
    if as_float:
        files[FLOAT] = encode(found.probability, "tiff")
    return files


def _lesions(found: LesionMap) -> str:
    # A score of a geometric mean may be small: 3 decimals would make many equal.
    rows = [
        {**dataclasses.asdict(lesion), "score": f"{lesion.score:.6g}"}
        for lesion in found.lesions
    ]
    if rows:
        return csv_text(rows)
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(Lesion))
    return csv_text([nothing]).partition("\n")[0] + "\n"


def write(
    out: pathlib.Path, files: Mapping[str, bytes], summary: Mapping[str, Any]
) -> None:
    """Write the files of a photograph; the summary, which says it is done, is last.

    Files of an earlier result that this one lacks are deleted.

    Args:
        out: folder.
        files: see `make_files`.
        summary: JSON-like.

    Raises:
        OSError: the folder cannot be written, or holds files of others.
    """
    for name in ALL:
        if name not in files:
            own_files.remove(out / name)
    for name, data in files.items():
        own_files.write_bytes(out / name, data)
    own_files.write_text(out / SUMMARY, json.dumps(summary, indent=2) + "\n")

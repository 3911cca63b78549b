"""Scores of saved maps of lesions: by pixel, by lesion, with intervals."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from rkd_jax.data.lesion_folders import LesionPhotograph, read_mask
from rkd_jax.images.reading import read_image
from rkd_jax.metrics import bootstrap
from rkd_jax.metrics.lesions import froc, pixels, resampling
from rkd_jax.metrics.lesions.curves import ScoreCurve, count_pixels, first_from
from rkd_jax.runtime.many import progress

CANDIDATES = 0.05
"""Pixels of this score or more form candidates, unless another limit is given."""

Load = Callable[[str, LesionPhotograph], np.ndarray]
"""`(row, photograph) -> uint16 map [H, W]`."""


@dataclasses.dataclass(eq=False)
class Counted:
    """All that scores of one row depend on: 0.5 MB a photograph.

    Attributes:
        names: of the photographs.
        true: uint32 `[65536]` a photograph, lesion pixels by level.
        false: background pixels likewise.
        detections: of each photograph.
        covered: share of each photograph's pixels that candidates cover.
    """

    names: list[str] = dataclasses.field(default_factory=list)
    true: list[np.ndarray] = dataclasses.field(default_factory=list)
    false: list[np.ndarray] = dataclasses.field(default_factory=list)
    detections: list[froc.Detections] = dataclasses.field(default_factory=list)
    covered: list[float] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, eq=False)
class RowScore:
    """The scores of one row.

    Attributes:
        numbers: name -> value, None where there is none; see
            `rkd_jax.metrics.lesions.resampling`.
        intervals: name -> `[low, high]` or None.
        drawn: name -> values of the bootstrap, for paired differences.
        photographs: a row of a table for each photograph.
        precision_recall: precision and recall of the curve.
        froc: false positives an image and sensitivity of the curve.
        covered: largest share of a photograph's pixels that candidates cover.
    """

    numbers: dict[str, float | None]
    intervals: dict[str, list[float] | None]
    drawn: dict[str, np.ndarray]
    photographs: list[dict[str, Any]]
    precision_recall: tuple[np.ndarray, np.ndarray]
    froc: tuple[np.ndarray, np.ndarray]
    covered: float = 0.0


def components(mask: np.ndarray) -> np.ndarray:
    """Number the connected parts of a mask; pixels may touch at a side or a corner.

    Args:
        mask: bool `[H, W]`.

    Returns:
        int32 `[H, W]`, 0 outside, from 1 without gaps.

    >>> components(np.eye(2, dtype=bool)).tolist()
    [[1, 0], [0, 1]]
    """
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]


def check_masks(photographs: Sequence[LesionPhotograph]) -> int:
    """Read all masks; return how many photographs have lesions.

    Before the network runs for hours: every mask can be read, has the size of its
    photograph, and some mark a lesion.

    Raises:
        OSError, ValueError: a mask or a photograph cannot be read, sizes differ, or no
            photograph has lesions.
    """
    found = 0
    for photograph in progress(photographs, "mask"):
        if photograph.mask is not None:
            shape = read_image(photograph.image).shape
            found += bool(read_mask(photograph, shape).any())
    if not found:
        raise ValueError(
            f"no lesion in the masks of {len(photographs)} photograph(s): average "
            "precision is not defined without lesions; give photographs that have "
            "some, and those without by --healthy DIR"
        )
    return found


def count(
    photographs: Sequence[LesionPhotograph],
    rows: Sequence[str],
    load: Load,
    *,
    low: float = CANDIDATES,
) -> dict[str, Counted]:
    """Count what the maps of each row find; no pixel is kept.

    Args:
        photographs: with their masks.
        rows: names of maps.
        load: reads a saved map.
        low: pixels of this score or more form candidates.

    Raises:
        OSError, ValueError: a map or a mask cannot be read, or sizes differ.
    """
    counted = {row: Counted() for row in rows}
    for photograph in progress(photographs, "photograph"):
        mask = lesions = None
        for row, kept in counted.items():
            levels = load(row, photograph)
            if mask is None or lesions is None:
                mask = read_mask(photograph, levels.shape)
                lesions = components(mask)
            true, false = count_pixels(levels, mask)
            kept.names.append(photograph.name)
            kept.true.append(true.astype(np.uint32))
            kept.false.append(false.astype(np.uint32))
            # A level of 0 is no candidate, whatever the limit.
            candidates = components(levels >= max(1, first_from(low)))
            kept.detections.append(froc.detections(levels, candidates, lesions))
            kept.covered.append(np.count_nonzero(candidates) / candidates.size)
    return counted


def score_row(counted: Counted, threshold: float) -> RowScore:
    """Score the maps of one row.

    Args:
        counted: of `count`.
        threshold: of precision, recall and F1.

    Raises:
        ValueError: no lesion in any mask.
    """
    images = len(counted.names)
    pixel = ScoreCurve.of(np.stack(counted.true), np.stack(counted.false))
    lesion = froc.detection_curve(counted.detections)
    if not pixel.total.any():
        raise ValueError(
            f"no lesion in the masks of {images} photograph(s): average precision is "
            "not defined"
        )
    scored = (
        (pixel, functools.partial(resampling.pixel_numbers, threshold=threshold)),
        (lesion, functools.partial(resampling.lesion_numbers, images=images)),
    )
    numbers: dict[str, float | None] = {}
    drawn: dict[str, np.ndarray] = {}
    for curve, function in scored:
        found = function(curve.together())
        numbers |= {name: _value(value) for name, value in found.items()}
        drawn |= resampling.drawn(
            curve, function, resamples=bootstrap.RESAMPLES, seed=bootstrap.SEED
        )
    precision, recall, _ = pixels.precision_recall(pixel.together())
    return RowScore(
        numbers,
        bootstrap.intervals(drawn, images),
        drawn,
        _photograph_rows(counted, pixel, threshold),
        (precision, recall),
        _froc_points(lesion.together(), images),
        max(counted.covered, default=0.0),
    )


def _value(number: np.ndarray) -> float | None:
    return float(number) if np.isfinite(number) else None


def _photograph_rows(
    counted: Counted, curve: ScoreCurve, threshold: float
) -> list[dict[str, Any]]:
    rows = []
    level = first_from(threshold)
    for i, (name, found) in enumerate(zip(counted.names, counted.detections)):
        one = ScoreCurve(curve.found[i], curve.wrong[i], curve.total[i])
        numbers = resampling.pixel_numbers(one, threshold)
        shown = ("average_precision", "precision", "recall", "f1")
        rows.append(
            {
                "photograph": name,
                "lesion_px": int(curve.total[i]),
                "lesions": found.lesions.size,
                "found": int((found.lesions >= level).sum()),
                "false_positives": int((found.false >= level).sum()),
                **{key: _value(numbers[key]) for key in shown},
            }
        )
    return rows


def _froc_points(curve: ScoreCurve, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Return false positives an image and sensitivity, by falling threshold."""
    both = curve.found + curve.wrong
    # Level 0 is no candidate's: its counts are those of the lowest candidates.
    at = np.flatnonzero(np.diff(both, append=-1.0))[::-1]
    return curve.wrong[at] / images, curve.found[at] / curve.total


def score_healthy(
    photographs: Sequence[LesionPhotograph],
    row: str,
    load: Load,
    *,
    low: float,
    threshold: float,
) -> dict[str, Any]:
    """Count false positives on photographs without lesions.

    Args:
        photographs: without masks.
        row: name of their maps.
        load: reads a saved map.
        low: see `count`.
        threshold: candidates of this score or more count.

    Returns:
        "photographs", "false_positives_per_image" and its "interval",
        "photographs_without" any, and "false_positives" of each photograph by name.
    """
    counted = count(photographs, [row], load, low=low)[row]
    level = first_from(threshold)
    false = np.array([(d.false >= level).sum() for d in counted.detections], float)
    every = np.ones(len(false), bool)
    interval = bootstrap.group_intervals(
        {"mean": (false, every)},
        {},
        np.arange(len(false)),
        resamples=bootstrap.RESAMPLES,
        seed=bootstrap.SEED,
        confidence=bootstrap.CONFIDENCE,
    )["mean"]
    return {
        "photographs": len(false),
        "false_positives_per_image": float(false.mean()),
        "interval": interval,
        "photographs_without": int((false == 0).sum()),
        "false_positives": dict(zip(counted.names, false.astype(int).tolist())),
    }

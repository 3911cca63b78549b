"""What was found in a photograph: a map, a mask and a list of lesions."""

from __future__ import annotations

import dataclasses
from typing import Any

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Lesion:
    """A connected part of the mask.

    Attributes:
        x: of its centroid, pixels of the file; pixel centers are whole numbers.
        y: the same.
        area_px: its pixels.
        area_um2: its area on the retina; None where the size of a pixel is unknown.
        score: the largest probability in it.
    """

    x: float
    y: float
    area_px: int
    area_um2: float | None
    score: float


@dataclasses.dataclass(frozen=True, eq=False)
class LesionMap:
    """The result for a photograph.

    Attributes:
        probability: float32 `[H, W]` at the size of the file; 0 outside the field
            and at its rim.
        threshold: pixels of at least this probability are in the mask.
        lesions: the highest score first.
        lesion: what was looked for, such as "microaneurysms".
        ok: whether the image was taken for a photograph of a fundus; if not, the map is
            0 and there are no lesions.
        reason: why not; empty otherwise.
        note: what to keep in mind about the result; empty otherwise.
        um_per_px: side of a pixel on the retina in micrometers, if given.
        region_threshold: of the proposal maps; above that of the weights where a
            photograph had too many suspicious pixels; None where the classifier was not
            asked.
    """

    probability: np.ndarray
    threshold: float
    lesions: tuple[Lesion, ...]
    lesion: str = ""
    ok: bool = True
    reason: str = ""
    note: str = ""
    um_per_px: float | None = None
    region_threshold: float | None = None

    @property
    def mask(self) -> np.ndarray:
        """Bool `[H, W]`: the pixels of all lesions."""
        return self.probability >= self.threshold

    @property
    def area_px(self) -> int:
        """Pixels of all lesions together."""
        return sum(lesion.area_px for lesion in self.lesions)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the map, ready for JSON."""
        height, width = self.probability.shape
        area = None if self.um_per_px is None else self.area_px * self.um_per_px**2
        return {
            "status": "done" if self.ok else "refused",
            "reason": self.reason,
            "note": self.note,
            "lesion": self.lesion,
            "threshold": self.threshold,
            "region_threshold": self.region_threshold,
            "um_per_px": self.um_per_px,
            "image_size": [width, height],
            "count": len(self.lesions),
            "area_px": self.area_px,
            "area_um2": area,
            "lesions": [dataclasses.asdict(lesion) for lesion in self.lesions],
        }


def find_lesions(
    probability: np.ndarray, threshold: float, um_per_px: float | None = None
) -> tuple[Lesion, ...]:
    """Return the connected parts of a thresholded map, the highest score first.

    Args:
        probability: float `[H, W]`.
        threshold: pixels of at least this belong to a lesion; pixels that touch at a
            side or a corner belong to one.
        um_per_px: side of a pixel in micrometers, if known.

    >>> probability = np.zeros((5, 5))
    >>> probability[1, 1], probability[2, 2] = 0.9, 0.6
    >>> find_lesions(probability, 0.5, um_per_px=2.0)
    (Lesion(x=1.5, y=1.5, area_px=2, area_um2=8.0, score=0.9),)
    """
    mask = probability >= threshold
    count, labels, stats, centers = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    scores = np.zeros(count)
    np.maximum.at(scores, labels[mask], probability[mask])
    lesions = []
    for label in range(1, count):
        area = int(stats[label, cv2.CC_STAT_AREA])
        lesion = Lesion(
            x=float(centers[label, 0]),
            y=float(centers[label, 1]),
            area_px=area,
            area_um2=None if um_per_px is None else area * um_per_px**2,
            score=float(scores[label]),
        )
        lesions.append(lesion)
    return tuple(sorted(lesions, key=lambda lesion: (-lesion.score, lesion.y)))

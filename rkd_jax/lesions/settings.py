"""What a weights file says about how lesions are found with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rkd_jax.lesions.fusion import check_fusion
from rkd_jax.lesions.prepare import Scale
from rkd_jax.lesions.regions import MOST_POINTS
from rkd_jax.lesions.tiles import TILE, check_tile

MODEL = "two_stage"


@dataclasses.dataclass(frozen=True)
class DetectorSettings:
    """How lesions are found.

    Attributes:
        lesion: which, such as "microaneurysms".
        scale: what photographs are brought to.
        patch_px: side of the classifier's patches, at full scale.
        region_threshold: the classifier is asked where a proposal map is above.
        stride: pixels between the classifier's points; bilinear between them.
        fusion: a key of `rkd_jax.lesions.fusion.FUSIONS`.
        classifier_weight: share of the classifier's maps in the mean; see `fuse`.
        threshold: of the mask.
        rim: nothing is reported this close to the border of the field or of the image,
            as a share of the field's diameter: the networks see too little around
            such a pixel.
        tile: side of a tile (`rkd_jax.lesions.tiles`); changes memory and time only.
        most_points: see `rkd_jax.lesions.regions.find_points`.
    """

    lesion: str = "microaneurysms"
    scale: Scale = dataclasses.field(default_factory=Scale)
    patch_px: int = 64
    region_threshold: float = 0.1
    stride: int = 2
    fusion: str = "refined_geometric"
    classifier_weight: float = 0.5
    threshold: float = 0.5
    rim: float = 0.01
    tile: int = TILE
    most_points: int = MOST_POINTS

    def __post_init__(self) -> None:
        """Check the values; raise a ValueError with the name of a bad one."""
        check_fusion(self.fusion)
        check_threshold(self.threshold)
        check_tile(self.tile)
        for name in ("patch_px", "stride", "most_points"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(
                    f"{name} is {value!r}; expected a whole number above 0"
                )
        if not 0 <= self.region_threshold < 1:
            raise ValueError(
                f"region_threshold is {self.region_threshold!r}; expected a number of "
                "0 or more, below 1"
            )
        if not 0 <= self.classifier_weight <= 1:
            raise ValueError(
                f"classifier_weight is {self.classifier_weight!r}; expected a share of "
                "0 to 1"
            )
        if not 0 <= self.rim < 0.25:
            raise ValueError(
                f"rim is {self.rim!r}; expected a share of the field's diameter of 0 "
                "or more, below 0.25"
            )


def check_threshold(threshold: float) -> None:
    """Raise a ValueError unless a threshold lies above 0, and at 1 at most.

    >>> check_threshold(0.0)
    Traceback (most recent call last):
    ValueError: threshold is 0.0; expected a probability above 0, at most 1
    """
    if not 0 < threshold <= 1:
        raise ValueError(
            f"threshold is {threshold!r}; expected a probability above 0, at most 1"
        )


def check_numbers(
    threshold: float | None, um_per_px: float | None, tile: int | None = None
) -> None:
    """Raise a ValueError that names a number of a user's which cannot be; None may.

    >>> check_numbers(0.5, -3.0)
    Traceback (most recent call last):
    ValueError: um_per_px is -3.0; expected micrometers, a number above 0
    """
    if threshold is not None:
        check_threshold(threshold)
    if um_per_px is not None and not 0 < um_per_px < float("inf"):
        raise ValueError(
            f"um_per_px is {um_per_px!r}; expected micrometers, a number above 0"
        )
    if tile is not None:
        check_tile(tile)


def settings_of(preprocess: Mapping[str, Any], where: str) -> DetectorSettings:
    """Return the settings in the metadata of a weights file.

    Args:
        preprocess: `Weights.preprocess`; what is missing has its default.
        where: names the file in an error.

    Raises:
        ValueError: an unknown field, or a bad value.

    >>> settings_of({"lesion": "haemorrhages", "stride": 4}, "a.safetensors").stride
    4
    """
    given = dict(preprocess)
    fields = {field.name for field in dataclasses.fields(DetectorSettings)}
    if unknown := sorted(set(given) - fields):
        raise ValueError(
            f"{where}: unknown fields {', '.join(unknown)} of the preparation; a newer "
            "version of rkd_jax wrote this file: install it"
        )
    try:
        if "scale" in given:
            given["scale"] = Scale(**given["scale"])
        return DetectorSettings(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from None

"""Named ranges of random geometry."""

from typing import NamedTuple

import jax

from rkd_jax.geometry.affine import AFFINE_PRESETS, AffinePreset, upstream_affine
from rkd_jax.geometry.deformation import Deformation, flat, random_deformation
from rkd_jax.geometry.homography import random_homography

Array = jax.Array


class HomographyPreset(NamedTuple):
    """Ranges of `rkd_jax.geometry.homography.random_homography`."""

    rotation_deg: float
    scale: tuple[float, float]
    shift_frac: float
    perspective: float


GEOMETRY_PRESETS: dict[str, AffinePreset | HomographyPreset] = {
    # Upstream's affine draws with their quirks (halved shift, scale on cosines only).
    "upstream_detector": AFFINE_PRESETS["detector"],
    "upstream_descriptor": AFFINE_PRESETS["descriptor"],
    # The same reach as true similarities, with a mild perspective.
    "detector": HomographyPreset(15.0, (0.9, 1.35), 0.1, 0.03),
    "descriptor": HomographyPreset(3.0, (0.9, 1.1), 0.05, 0.02),
    # Two visits of an eye. The shift is large on purpose: with a small one a network
    # with windows learns where in the crop a point lies instead of what it looks like.
    "visit": HomographyPreset(8.0, (0.9, 1.11), 0.35, 0.03),
    # The same, by any photographer with any camera.
    "any_visit": HomographyPreset(15.0, (0.8, 1.25), 0.35, 0.03),
    # Any two views: 0.5 rad, e^+-0.3, 40 px and 3e-4 per px in 256 px.
    "wide": HomographyPreset(28.6, (0.741, 1.35), 0.156, 0.0384),
    # A face in the crop of its box: any pose, or upright as most photographs show it.
    "face": HomographyPreset(30.0, (0.85, 1.15), 0.06, 0.02),
    "upright_face": HomographyPreset(12.0, (0.9, 1.1), 0.05, 0.02),
}


def sample_geometry(
    key: Array, size, preset: str | AffinePreset | HomographyPreset
) -> Array:
    """Draw a homography of a named preset.

    Args:
        key: PRNG key.
        size: (height, width) in px, of the raw and the warped image.
        preset: name in `GEOMETRY_PRESETS`, or ranges of one's own.

    Returns:
        `h_raw_to_warped`, `[3, 3]` float32.

    Raises:
        ValueError: unknown preset.

    Example:
        >>> import jax
        >>> sample_geometry(jax.random.key(0), (64, 64), "wide").shape
        (3, 3)
    """
    if isinstance(preset, str):
        if preset not in GEOMETRY_PRESETS:
            raise ValueError(
                f"unknown geometry {preset!r}; known: {', '.join(GEOMETRY_PRESETS)}"
            )
        preset = GEOMETRY_PRESETS[preset]
    if isinstance(preset, AffinePreset):
        return upstream_affine(key, size, preset=preset)
    return random_homography(key, size, **preset._asdict())


class DeformationPreset(NamedTuple):
    """Ranges of `geometry.deformation.random_deformation`, in half image widths."""

    k: tuple[float, float]
    elastic: float
    wavelength: tuple[float, float]


DEFORMATION_PRESETS: dict[str, DeformationPreset | None] = {
    "none": None,
    # The elastic part reaches 2 px of 768.
    "retina": DeformationPreset((0.0, 0.2), 0.006, (0.3, 1.2)),
}


def sample_deformation(
    key: Array, h: Array, *, center: Array, width: Array, preset: str
) -> Deformation:
    """Bend a homography by a named preset.

    Args:
        key: PRNG key.
        h: `[3, 3]` raw px to warped px.
        center: `[2]` (x, y) of the middle of the photograph, px of the raw image.
        width: of the photograph, px.
        preset: name in `DEFORMATION_PRESETS`.

    Raises:
        ValueError: unknown preset.
    """
    if preset not in DEFORMATION_PRESETS:
        raise ValueError(
            f"unknown deformation {preset!r}; known: {', '.join(DEFORMATION_PRESETS)}"
        )
    ranges = DEFORMATION_PRESETS[preset]
    if ranges is None:
        return flat(h)
    return random_deformation(
        key, h, center=center, unit_px=0.5 * width, **ranges._asdict()
    )

"""One made-up eye: vessels, optic disc, macula, pigment, choroid and lesions.

Everything lives in a chart that is larger than one photograph, so that several
photographs can show different parts of it. Units and axes: see `vessel_tree`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rkd_jax.synthetic.fundus import vessel_tree

TEXTURE = 640  # texels a side
TEXTURE_EXTENT = 2.8  # the texture covers (CENTER_X, 0) +- this

LESION_KINDS = ("microaneurysm", "haemorrhage", "exudate", "drusen", "cotton")


@dataclass(frozen=True)
class Lesions:
    """Spots that may change between visits.

    Attributes:
        places: float64 `[L, 3]`: x, y, radius in fields.
        kinds: int `[L]`: index into `LESION_KINDS`.
        shapes: float64 `[L, 3]`: elongation, its direction, phase of the outline.
    """

    places: np.ndarray
    kinds: np.ndarray
    shapes: np.ndarray


@dataclass(frozen=True)
class Eye:
    """What does not change between two photographs of one eye.

    Attributes:
        mirrored: Whether the disc lies on the left of the fovea in photographs.
        disc: x, y, horizontal and vertical radius, cup-to-disc ratio.
        tree: Vessels and keypoints.
        color: float64 `[3]`: RGB in 0..1 of the retina between vessels.
        texture: float32 `[TEXTURE, TEXTURE, 3]`: pigment, choroid and grain, each
            about zero mean.
        choroid: How much of the choroid shines through, 0..1.
        macula: Depth of the macular shade.
        lesions: All spots that one of the visits may show.
    """

    mirrored: bool
    disc: tuple[float, float, float, float, float]
    tree: vessel_tree.VesselTree
    color: np.ndarray
    texture: np.ndarray
    choroid: float
    macula: float
    lesions: Lesions


def _noise(rng: np.random.Generator, rows: int, columns: int = 0) -> np.ndarray:
    """Smooth noise of about unit variance with so many cells a side."""
    grid = rng.standard_normal((rows, columns or rows), np.float32)
    return 1.35 * cv2.resize(grid, (TEXTURE, TEXTURE), interpolation=cv2.INTER_CUBIC)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """Draw pigment, choroid and grain."""
    pigment = 0.7 * _noise(rng, 9) + 0.3 * _noise(rng, 24) + 0.3 * _noise(rng, 70)
    # Choroidal vessels: zero lines of long-drawn smooth noise, gently bent.
    axis = np.arange(TEXTURE, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    bend_x, bend_y = 30 * _noise(rng, 4), 45 * _noise(rng, 5)
    ridges = np.zeros((TEXTURE, TEXTURE), np.float32)
    for rows, columns, width, weight in (
        (52, 17, 0.4, 1.0),
        (80, 30, 0.45, 0.8),
        (40, 40, 0.25, 0.5),
    ):
        lines = _noise(rng, rows, columns)
        fan = 0.25 * (x - TEXTURE / 2) * (y / TEXTURE - 0.5)
        lines = cv2.remap(
            lines,
            x + bend_x,
            y + bend_y + fan,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        ridges += weight * np.exp(-np.square(lines / width))
    choroid = 0.75 - ridges * np.clip(1 + 0.5 * _noise(rng, 7), 0.2, 2)
    grain = cv2.GaussianBlur(
        rng.standard_normal((TEXTURE, TEXTURE), np.float32), (0, 0), 0.8
    )
    return np.stack([pigment, choroid, 2.8 * grain], axis=-1)


def _lesions(rng: np.random.Generator, disc: tuple, wanted: bool) -> Lesions:
    """Draw the spots of an eye; about a third of the eyes have none."""
    places, kinds = [], []
    if wanted and rng.random() < 0.7:
        for kind, most, low, high in (
            (0, 18, 0.004, 0.009),
            (1, 7, 0.012, 0.045),
            (2, 4, 0.006, 0.018),
            (3, 4, 0.006, 0.02),
            (4, 2, 0.03, 0.07),
        ):
            for _ in range(int(most * rng.random() ** 2.5 + 0.5)):
                at = rng.normal([0.1, 0.0], 0.6 if kind != 3 else 0.25)
                cluster = int(rng.integers(5, 22)) if kind in (2, 3) else 1
                spread = rng.uniform(0.04, 0.16)
                for _ in range(cluster):
                    spot = at + rng.normal(0, spread, 2) * (cluster > 1)
                    if np.hypot(spot[0] - disc[0], spot[1] - disc[1]) > 0.2:
                        places.append([*spot, rng.uniform(low, high)])
                        kinds.append(kind)
    shapes = rng.random((len(kinds), 3)) * [1.2, np.pi, 2 * np.pi]
    return Lesions(np.array(places).reshape(-1, 3), np.array(kinds, int), shapes)


def make_eye(
    rng: np.random.Generator, *, density: float = 1.0, lesions: bool = True
) -> Eye:
    """Draw an eye.

    Args:
        rng: Source of all chance.
        density: Density of vessel branches, 1 as in real photographs.
        lesions: Whether it may have lesions.

    Returns:
        The eye.
    """
    x, y = rng.uniform(0.66, 0.78), rng.uniform(-0.1, 0.02)
    wide = rng.uniform(0.105, 0.135)
    disc = (x, y, wide, wide * rng.uniform(1.0, 1.16), rng.uniform(0.25, 0.6))
    mirrored = bool(rng.random() < 0.5)
    tree = vessel_tree.grow(rng, disc=disc[:2], density=density)
    warm = rng.random()
    color = (1 - warm) * np.array([0.58, 0.27, 0.15]) + warm * np.array(
        [0.98, 0.48, 0.26]
    )
    color = color * np.exp(rng.normal(0, [0.05, 0.1, 0.18]))
    return Eye(
        mirrored=mirrored,
        disc=disc,
        tree=tree,
        color=color,
        texture=_texture(rng),
        choroid=float(rng.random() ** 3),
        macula=float(rng.uniform(0.12, 0.38)),
        lesions=_lesions(rng, disc, lesions),
    )

"""Lesions of diabetic retinopathy in a made-up eye, with exact masks.

Spots are drawn in the chart of the eye and seen through its camera. They change the
optical density of the retina before light, lens and sensor, so that they are as blurred
and as noisy as all else in the photograph.

Source: sizes and contrasts are of the masks of IDRiD's training photographs, but
microaneurysms and haemorrhages are about twice as large: microaneurysms of the real
size, 1/200 of the field, would be two pixels wide in a photograph of 512.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rkd_jax.synthetic.fundus.camera import Camera

_HARMONICS = np.arange(2, 7)
_FINE = 3  # samples a pixel, each way
_TRIES = 30


@dataclass(frozen=True)
class _Look:
    """What the spots of one kind have in common.

    Attributes:
        rgb: Optical density of each color where the contrast is 1; below zero for
            what is brighter than the retina.
        contrast: Least and largest contrast.
        soft: Width of the rim in radii.
        rough: How far the outline is from an ellipse, in radii.
    """

    rgb: tuple[float, float, float]
    contrast: tuple[float, float]
    soft: float
    rough: float


_BLOOD = (0.22, 1.0, 0.5)
_LOOKS = {
    "microaneurysms": _Look(_BLOOD, (0.2, 0.5), 0.16, 0.04),
    "haemorrhages": _Look(_BLOOD, (0.22, 0.6), 0.15, 0.15),
    "hard_exudates": _Look((-0.3, -1.0, -0.6), (0.25, 0.6), 0.08, 0.16),
    "soft_exudates": _Look((-0.25, -1.0, -0.7), (0.18, 0.38), 0.24, 0.14),
}
KINDS = tuple(_LOOKS)
"""Names of the lesions; those of `rkd_jax.data.lesion_folders.LESIONS`."""


@dataclass(frozen=True)
class Spot:
    """One lesion.

    Attributes:
        kind: One of `KINDS`.
        x: Place in the chart, in fields.
        y: Place in the chart, in fields.
        radius: Of the circle of its area, in fields.
        contrast: Change of the optical density of green in its middle.
        stretch: How much longer than wide it is, along the way to the optic disc.
        outline: float64 `[5, 2]`: harmonics of the outline, cosine and sine.
    """

    kind: str
    x: float
    y: float
    radius: float
    contrast: float
    stretch: float
    outline: np.ndarray


class Painter:
    """Draws places and shapes, and knows where spots are already.

    Args:
        rng: Source of all chance.
        view: The camera.
        lit: Whether a place of the picture, in half widths from its middle, is in the
            field.
        disc: The optic disc of the eye: x, y, horizontal and vertical radius, ratio.
        sizes: Factor of the radii of spots of a kind; 1 for those left out.
        contrast: Factor of the contrast of all spots.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        view: Camera,
        lit: Callable[[float, float], bool],
        disc: Sequence[float],
        sizes: Mapping[str, float] | None = None,
        contrast: float = 1.0,
    ):
        self.rng, self.view, self.lit, self.disc = rng, view, lit, disc
        self.sizes, self.contrast = sizes or {}, contrast
        self.spots: list[Spot] = []

    def anywhere(self, reach: float) -> np.ndarray:
        """Return a place of the chart within `reach` of the middle of the picture."""
        way, far = self.rng.uniform(0, 2 * math.pi), reach * self.rng.random() ** 0.5
        half = self.view.size / 2
        middle = (self.view.size - 1) / 2
        offset = np.array([math.cos(way), math.sin(way)])
        return self.view.to_chart(middle + half * far * offset)

    def free(self, at: np.ndarray, radius: float, gap: float) -> bool:
        """Whether a spot may lie there: in the field, off the disc and other spots."""
        x, y, wide, tall, _ = self.disc
        if (
            math.hypot((at[0] - x) / (wide + radius), (at[1] - y) / (tall + radius))
            < 1.4
        ):
            return False
        half = self.view.size / 2
        u = (self.view.from_chart(at) - (self.view.size - 1) / 2) / half
        far = 1 + 1.5 * radius / max(math.hypot(*u), 1e-6)
        if not self.lit(*(far * u)):
            return False
        return gap == 0 or all(
            math.hypot(at[0] - s.x, at[1] - s.y) > gap * (radius + s.radius)
            for s in self.spots
        )

    def add(
        self,
        kind: str,
        place: Callable[[], np.ndarray],
        radius: float,
        *,
        gap: float = 0.0,
        stretch: float = 1.0,
    ) -> None:
        """Add a spot at the first free place; none if there is no free one."""
        look, rng = _LOOKS[kind], self.rng
        contrast = self.contrast * rng.uniform(*look.contrast)
        radius = radius * self.sizes.get(kind, 1.0)
        outline = rng.normal(0, look.rough, (len(_HARMONICS), 2))
        outline /= np.sqrt(2 * _HARMONICS)[:, None]
        for _ in range(_TRIES):
            at = place()
            if self.free(at, radius * stretch, gap):
                x, y = at.tolist()
                spot = Spot(kind, x, y, radius, contrast, stretch, outline)
                self.spots.append(spot)
                return

    def microaneurysm(self) -> None:
        """Add a small round spot."""
        radius = 0.007 + 0.0055 * self.rng.random() ** 1.5
        self.add("microaneurysms", lambda: self.anywhere(0.88), radius, gap=2.0)

    def haemorrhage(self) -> None:
        """Add a dark spot, round or a streak."""
        rng = self.rng
        radius = 0.016 + 0.05 * rng.random() ** 2.5
        stretch = rng.uniform(1.8, 3) if rng.random() < 0.3 else rng.uniform(1, 1.4)
        self.add(
            "haemorrhages",
            lambda: self.anywhere(0.88),
            radius,
            gap=1.2,
            stretch=stretch,
        )

    def soft_exudate(self) -> None:
        """Add a large pale spot."""
        radius = self.rng.uniform(0.028, 0.06)
        stretch = self.rng.uniform(1, 1.8)
        self.add(
            "soft_exudates",
            lambda: self.anywhere(0.85),
            radius,
            gap=1.0,
            stretch=stretch,
        )

    def hard_exudates(self, center: np.ndarray) -> None:
        """Add a cluster of bright spots: filled, or a ring about a leaking vessel."""
        rng = self.rng
        ring = rng.uniform(0.07, 0.16) if rng.random() < 0.3 else 0.0
        spread = 0.025 if ring else rng.uniform(0.03, 0.09)

        def place() -> np.ndarray:
            way = rng.uniform(0, 2 * math.pi)
            offset = ring * np.array([math.cos(way), math.sin(way)])
            return center + offset + rng.normal(0, spread, 2)

        for _ in range(5 + int(45 * rng.random() ** 1.5)):
            radius = 0.0045 + 0.017 * rng.random() ** 4
            self.add("hard_exudates", place, radius, stretch=rng.uniform(1, 1.4))


def draw_spots(painter: Painter) -> list[Spot]:
    """Draw the lesions of an eye with any stage of diabetic retinopathy.

    Returns:
        At least one microaneurysm, and others.
    """
    rng = painter.rng
    centers = [painter.anywhere(0.7) for _ in range(int(4.5 * rng.random() ** 1.5))]
    for center in centers:
        painter.hard_exudates(center)
    for _ in range(int(5 * rng.random() - 2)):
        painter.soft_exudate()
    for _ in range(int(9 * rng.random() ** 1.5 + 0.4)):
        painter.haemorrhage()
    for _ in range(4 + int(26 * rng.random() ** 2)):
        painter.microaneurysm()
    return painter.spots


def paint(
    spots: Sequence[Spot], view: Camera, disc: Sequence[float]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return what spots add to the optical density, and where they are.

    Args:
        spots: What `draw_spots` gave.
        view: The camera.
        disc: The optic disc of the eye.

    Returns:
        float32 `[size, size, 3]`, and for each of `KINDS` bool `[size, size]`: where
        a spot has more than half of its contrast.
    """
    size = view.size
    contrast = {kind: np.zeros((size, size), np.float32) for kind in KINDS}
    masks = {kind: np.zeros((size, size), bool) for kind in KINDS}
    home = view.from_chart(np.array(disc[:2]))
    for spot in spots:
        found = _share(spot, view, home)
        if found is None:
            continue
        box, share = found
        layer = contrast[spot.kind][box]
        np.maximum(layer, spot.contrast * share, out=layer)
        masks[spot.kind][box] |= share > 0.5 * share.max()
    density = np.zeros((size, size, 3), np.float32)
    for kind, look in _LOOKS.items():
        density += contrast[kind][..., None] * np.array(look.rgb, np.float32)
    return density, masks


def _share(
    spot: Spot, view: Camera, home: np.ndarray
) -> tuple[tuple[slice, slice], np.ndarray] | None:
    """Return a box of the picture and how much of the contrast its pixels have."""
    at = np.array([spot.x, spot.y])
    cx, cy = view.from_chart(at)
    radius = spot.radius * float(view.pixels_per_field(at))
    reach = math.ceil(2.2 * spot.stretch**0.5 * radius + 1)
    x0, y0 = max(round(cx) - reach, 0), max(round(cy) - reach, 0)
    x1, y1 = (
        min(round(cx) + reach + 1, view.size),
        min(round(cy) + reach + 1, view.size),
    )
    if x0 >= x1 or y0 >= y1:
        return None
    inside = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    dx = (np.arange(x0, x1)[:, None] + inside).ravel()[None] - cx
    dy = (np.arange(y0, y1)[:, None] + inside).ravel()[:, None] - cy
    way = math.atan2(cy - home[1], cx - home[0])
    along = (dx * math.cos(way) + dy * math.sin(way)) / spot.stretch**0.5
    across = (dy * math.cos(way) - dx * math.sin(way)) * spot.stretch**0.5
    angle = np.arctan2(across, along)
    waves = _HARMONICS * angle[..., None]
    outline = (
        1 + np.cos(waves) @ spot.outline[:, 0] + np.sin(waves) @ spot.outline[:, 1]
    )
    far = np.hypot(along, across) / (radius * np.maximum(outline, 0.35))
    soft = _LOOKS[spot.kind].soft
    share = 1 / (1 + np.exp(np.clip((far - 1) / soft, -30, 30)))
    fine = share.reshape(y1 - y0, _FINE, x1 - x0, _FINE)
    return (slice(y0, y1), slice(x0, x1)), fine.mean((1, 3)).astype(np.float32)

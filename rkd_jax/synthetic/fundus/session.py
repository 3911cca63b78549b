"""One sitting: an eye, a camera and two visits, drawn from one seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rkd_jax.synthetic.fundus.camera import Camera, aim, shift_for_overlap
from rkd_jax.synthetic.fundus.eye import Eye, make_eye
from rkd_jax.synthetic.fundus.lesions import Painter, Spot, draw_spots, paint
from rkd_jax.synthetic.fundus.render import FieldStop, draw_light, expose

_VISIBLE_RADIUS_PX = 0.38  # thinner vessels cannot be seen,
_VISIBLE_RADIUS = 0.0028  # nor those of less contrast; in fields


@dataclass(frozen=True)
class FundusPhotograph:
    """A photograph and what is known about it.

    Attributes:
        image: uint8 RGB `[size, size, 3]`.
        keypoints: float32 `[N, 2]`: visible bifurcations and crossings, x and y in
            pixels.
        field: bool `[size, size]`: the lit part.
        vessels: bool `[size, size]`: vessels that can be seen.
        lesions: bool `[size, size]` of each kind of lesion; of `diabetic` only.
    """

    image: np.ndarray
    keypoints: np.ndarray
    field: np.ndarray
    vessels: np.ndarray
    lesions: dict[str, np.ndarray] = field(default_factory=dict)


class Session:
    """An eye, a camera and two visits, drawn from one seed."""

    def __init__(
        self,
        seed: int,
        size: int,
        vessels: float,
        lesions: bool,
        curvature: float,
        overlap: tuple[float, float],
        motion: float,
        change: float,
    ):
        low, high = overlap
        for name, value, ok, range_ in (
            ("seed", seed, seed >= 0, ">= 0"),
            ("size", size, size >= 64, ">= 64"),
            ("vessels", vessels, 0.2 <= vessels <= 3, "in 0.2..3"),
            ("curvature", curvature, 0 <= curvature <= 0.3, "in 0..0.3"),
            ("overlap", overlap, 0.2 <= low <= high <= 1, "(low, high) in 0.2..1"),
            ("motion", motion, 0 <= motion <= 1, "in 0..1"),
            ("change", change, 0 <= change <= 1, "in 0..1"),
        ):
            if not ok:
                raise ValueError(f"{name} is {value}; it must be {range_}")
        # One stream for each purpose: an option of one does not disturb the others.
        streams = [np.random.default_rng([seed, i]) for i in range(6)]
        self.seed, self.size, self.change = seed, size, change
        self.eye: Eye = make_eye(streams[0], density=vessels, lesions=lesions)
        self.stop = _draw_stop(streams[1])
        self.views = _draw_views(
            streams[2], self.eye.mirrored, size, curvature, overlap, motion
        )
        first, second = draw_light(streams[3]), draw_light(streams[4])
        self.lights = (first, first.towards(second, change))
        count = len(self.eye.lesions.kinds)
        there = streams[5].random(count) < 0.75
        flips = streams[5].random(count) < 0.35 * change
        growth = np.exp(0.25 * change * streams[5].standard_normal(count))
        self.shown = (there, there ^ flips)
        self.growth = (np.ones(count), growth)

    def take(self, visit: int, spots: Sequence[Spot] | None = None) -> FundusPhotograph:
        """Expose the first or the second visit.

        Args:
            visit: 0 or 1.
            spots: Lesions with masks that the eye has beside those of its own.
        """
        view = self.views[visit]
        noise = 6 + visit if self.change > 0 else 6
        added, masks = None, {}
        if spots is not None:
            added, masks = paint(spots, view, self.eye.disc)
        image, field, vessels = expose(
            self.eye,
            view,
            self.stop,
            self.lights[visit],
            np.random.default_rng([self.seed, noise]),
            shown=self.shown[visit],
            growth=self.growth[visit],
            added=added,
        )
        known = self.eye.tree.keypoints
        xy = view.from_chart(known[:, :2])
        wide = known[:, 2] * view.pixels_per_field(known[:, :2])
        kept = (wide > _VISIBLE_RADIUS_PX) & (known[:, 2] > _VISIBLE_RADIUS)
        kept &= inside(field, xy, 0.012 * self.size)
        masks = {kind: mask & field for kind, mask in masks.items()}
        return FundusPhotograph(
            image, xy[kept].astype(np.float32), field, vessels, masks
        )

    def painter(
        self,
        stream: int,
        sizes: Mapping[str, float] | None = None,
        contrast: float = 1.0,
    ) -> Painter:
        """Return what draws lesions that the first visit shows.

        Args:
            stream: Number of the stream of chance; each purpose has its own.
            sizes: See `Painter`.
            contrast: See `Painter`.
        """
        rng = np.random.default_rng([self.seed, stream])
        stop = self.stop

        def lit(x: float, y: float) -> bool:
            return math.hypot(x, y) < stop.radius and abs(y) < stop.flat

        return Painter(rng, self.views[0], lit, self.eye.disc, sizes, contrast)

    def spots(self) -> list[Spot]:
        """Draw the lesions of a diabetic eye that the first visit shows."""
        return draw_spots(self.painter(8))


def _draw_stop(rng: np.random.Generator) -> FieldStop:
    flat = rng.uniform(0.78, 0.9) if rng.random() < 0.2 else 2.0
    notch = -math.pi / 4 + rng.normal(0, 0.1) if rng.random() < 0.35 else None
    return FieldStop(rng.uniform(0.93, 0.995), flat, notch)


def _draw_views(
    rng: np.random.Generator,
    mirrored: bool,
    size: int,
    curvature: float,
    overlap: tuple[float, float],
    motion: float,
) -> tuple[Camera, Camera]:
    """Draw the cameras of the two visits."""
    mirror = np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    middle = np.array([rng.uniform(0.2, 0.65), rng.normal(0, 0.08)])
    shift = shift_for_overlap(rng.uniform(*overlap))
    way = rng.uniform(0, 2 * math.pi)
    share = rng.uniform(0.3, 0.7)
    step = shift * np.array([math.cos(way), math.sin(way)])
    # Neither field may leave the part of the eye that has vessels.
    ends = middle[0] + step[0] * np.array([-share, 1 - share])
    middle[0] += max(0.0, 0.05 - ends.min()) - max(0.0, ends.max() - 1.1)
    ends = middle[1] + step[1] * np.array([-share, 1 - share])
    middle[1] += max(0.0, -0.5 - ends.min()) - max(0.0, ends.max() - 0.5)
    turn = rng.normal(0, 0.06, 2)
    zoom = np.exp(rng.normal(0, 0.03, 2))
    views = []
    for index in range(2):
        moved = motion if index else 0.0
        at = middle - share * step + moved * step
        angle = turn[0] + moved * turn[1]
        scale = zoom[0] * zoom[1] ** moved
        matrix = aim(tuple(at), turn_rad=angle, scale=scale) @ mirror
        views.append(Camera(size, curvature, matrix))
    return views[0], views[1]


def inside(field: np.ndarray, xy: np.ndarray, margin: float) -> np.ndarray:
    """Whether points `[N, 2]` lie in a field, `margin` pixels off its rim."""
    result = np.ones(len(xy), bool)
    size = field.shape[0]
    for angle in np.arange(8) * math.pi / 4:
        probe = np.rint(xy + margin * np.array([math.cos(angle), math.sin(angle)]))
        column, row = np.clip(probe, -1, size).astype(int).T
        within = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        column, row = np.where(within, column, 0), np.where(within, row, 0)
        result &= within & field[row, column]
    return result

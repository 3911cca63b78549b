"""Synthetic fundus photographs, alone or as two visits.

    from rkd_jax.synthetic import fundus
    pair = fundus.visits(seed=3, size=512)
    pair.moving_to_fixed(pair.moving.keypoints)   # float64 pixels of pair.fixed

Everything follows from the seed. Bifurcations and crossings are known from the vessel
graph, and the mapping between visits from the geometry of the curved retina.
"""

import math
from dataclasses import dataclass

import numpy as np

from rkd_jax.synthetic.fundus.camera import Camera, Mapping, aim, shift_for_overlap
from rkd_jax.synthetic.fundus.eye import Eye, make_eye
from rkd_jax.synthetic.fundus.render import FieldStop, draw_light, expose

__all__ = ["FundusPair", "FundusPhotograph", "Mapping", "photograph", "visits"]

_VISIBLE_RADIUS_PX = 0.38  # thinner vessels cannot be seen,
_VISIBLE_RADIUS = 0.0028  # nor those of less contrast; in fields
_CONTROL_POINTS = 12
_OVERLAP = (0.4, 0.97)


@dataclass(frozen=True)
class FundusPhotograph:
    """A photograph and what is known about it.

    Attributes:
        image: uint8 RGB `[size, size, 3]`.
        keypoints: float32 `[N, 2]`: visible bifurcations and crossings, x and y in
            pixels.
        field: bool `[size, size]`: the lit part.
        vessels: bool `[size, size]`: vessels that can be seen.
    """

    image: np.ndarray
    keypoints: np.ndarray
    field: np.ndarray
    vessels: np.ndarray


@dataclass(frozen=True)
class FundusPair:
    """Two photographs of one eye.

    Attributes:
        fixed: The first visit.
        moving: The second visit.
        moving_to_fixed: Maps pixels `[..., 2]` of `moving` to `fixed`, exactly.
        fixed_to_moving: Its inverse.
        control_points: float32 `[12, 4]`: x and y in `fixed`, x and y in `moving`, of
            places that both show.
    """

    fixed: FundusPhotograph
    moving: FundusPhotograph
    moving_to_fixed: Mapping
    fixed_to_moving: Mapping
    control_points: np.ndarray


def photograph(
    seed: int, *, size: int = 512, vessels: float = 1.0, lesions: bool = True
) -> FundusPhotograph:
    """Make one photograph; `visits(seed)` has the same one as `fixed`.

    Args:
        seed: At least 0; each seed is another eye.
        size: Width and height in pixels, at least 64.
        vessels: Density of branches; 1 as in real photographs.
        lesions: Whether the eye may have lesions.

    Returns:
        The photograph.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> made = photograph(0, size=96)
        >>> made.image.shape, made.keypoints.shape[1]
        ((96, 96, 3), 2)
    """
    return _Session(seed, size, vessels, lesions, 0.12, _OVERLAP, 1.0, 1.0).take(0)


def visits(
    seed: int,
    *,
    size: int = 512,
    overlap: tuple[float, float] = _OVERLAP,
    curvature: float = 0.12,
    motion: float = 1.0,
    change: float = 1.0,
    vessels: float = 1.0,
    lesions: bool = True,
) -> FundusPair:
    """Make two photographs of one eye with the mapping between them.

    Args:
        seed: At least 0; each seed is another eye.
        size: Width and height in pixels, at least 64.
        overlap: Least and largest share of the field that both photographs show.
        curvature: k of the curved retina, 0 to 0.3; with 0 a homography is exact.
        motion: Factor of shift, rotation and scale; 0 for two equal views.
        change: Factor 0..1 of the change of light, blur and lesions; with 0 nothing
            but the view changes.
        vessels: Density of branches; 1 as in real photographs.
        lesions: Whether the eye may have lesions.

    Returns:
        The pair.

    Raises:
        ValueError: If an option is out of range.

    Example:
        >>> pair = visits(0, size=96)
        >>> fixed, moving = pair.control_points[:, :2], pair.control_points[:, 2:]
        >>> bool(np.allclose(pair.moving_to_fixed(moving), fixed, atol=1e-3))
        True
    """
    session = _Session(seed, size, vessels, lesions, curvature, overlap, motion, change)
    fixed, moving = session.take(0), session.take(1)
    mapping = Mapping(session.views[1], session.views[0])
    return FundusPair(
        fixed=fixed,
        moving=moving,
        moving_to_fixed=mapping,
        fixed_to_moving=mapping.inverse(),
        control_points=_control_points(fixed, moving, mapping),
    )


class _Session:
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

    def take(self, visit: int) -> FundusPhotograph:
        """Expose the first or the second visit."""
        view = self.views[visit]
        noise = 6 + visit if self.change > 0 else 6
        image, field, vessels = expose(
            self.eye,
            view,
            self.stop,
            self.lights[visit],
            np.random.default_rng([self.seed, noise]),
            shown=self.shown[visit],
            growth=self.growth[visit],
        )
        known = self.eye.tree.keypoints
        xy = view.from_chart(known[:, :2])
        wide = known[:, 2] * view.pixels_per_field(known[:, :2])
        kept = (wide > _VISIBLE_RADIUS_PX) & (known[:, 2] > _VISIBLE_RADIUS)
        kept &= _inside(field, xy, 0.012 * self.size)
        return FundusPhotograph(image, xy[kept].astype(np.float32), field, vessels)


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


def _inside(field: np.ndarray, xy: np.ndarray, margin: float) -> np.ndarray:
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


def _control_points(
    fixed: FundusPhotograph, moving: FundusPhotograph, mapping: Mapping
) -> np.ndarray:
    """Choose places far from each other that both photographs show."""
    size = fixed.image.shape[0]
    margin = 0.02 * size
    known = moving.keypoints.astype(np.float64)
    known = known[_inside(fixed.field, mapping(known), margin)]
    if len(known) < 2 * _CONTROL_POINTS:  # few junctions: add places of the overlap
        axis = np.linspace(0, size - 1, 41)
        extra = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        seen = _inside(moving.field, extra, margin)
        seen &= _inside(fixed.field, mapping(extra), margin)
        known = np.concatenate([known, extra[seen]])
    chosen = [int(np.argmin(np.hypot(*(known - known.mean(axis=0)).T)))]
    away = np.full(len(known), np.inf)
    while len(chosen) < min(_CONTROL_POINTS, len(known)):
        away = np.minimum(away, np.hypot(*(known - known[chosen[-1]]).T))
        chosen.append(int(np.argmax(away)))
    return np.column_stack([mapping(known[chosen]), known[chosen]]).astype(np.float32)

"""Grow the retinal vessels of one eye and know their bifurcations and crossings.

Arteries and veins leave the optic disc along four arcades each, taper, bend, and
branch by Murray's law. Lengths are in *fields*: one unit is half the width of a
45-degree photograph. The fovea is the origin, x points to the optic disc, y down.

Source: C. D. Murray, The physiological principle of minimum work applied to the angle
of branching of arteries (1926), for radii and angles; the guides are drawn by hand.
"""

import heapq
import math
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

CENTER_X = 0.35  # the middle between fovea and disc
EXTENT = 2.3  # vessels grow within this distance of (CENTER_X, 0)
STEP = 0.03
MIN_RADIUS = 0.0022
MERGE = 0.022  # keypoints nearer than this to each other are one
_CELL = 0.03
_CELLS = int(2 * (EXTENT + 0.3) / _CELL)
_MURRAY = 2.8  # exponent: r0^e = r1^e + r2^e


@dataclass(frozen=True)
class VesselTree:
    """All vessels of an eye.

    Attributes:
        branches: float64 `[N, 3]` each: x, y and radius, in fields, thick before thin.
        veins: bool `[len(branches)]`, the others are arteries.
        keypoints: float64 `[K, 3]`: bifurcations and crossings: x, y, and the radius
            of the thinnest vessel that takes part, in fields.
    """

    branches: tuple[np.ndarray, ...]
    veins: np.ndarray
    keypoints: np.ndarray


@dataclass
class _Tip:
    """A growing end."""

    x: float
    y: float
    heading: float
    radius: float
    vein: bool
    inward: bool = False
    guide: np.ndarray | None = None
    parent: int = -1
    reach: float = math.inf
    points: list = field(default_factory=list)


def spline(waypoints: np.ndarray, count: int) -> np.ndarray:
    """Resample a Catmull-Rom curve through float `[N, D]` points, keeping all of them.

    Args:
        waypoints: The points to pass through.
        count: Points for each interval.

    Returns:
        float64 `[(N - 1) * count + 1, D]`.
    """
    first = 2 * waypoints[:1] - waypoints[1:2]
    last = 2 * waypoints[-1:] - waypoints[-2:-1]
    ends = np.concatenate([first, waypoints, last])
    t = (np.arange(count) / count)[None, :, None]
    p0, p1, p2, p3 = (ends[i : len(ends) - 3 + i, None] for i in range(4))
    cubic = 3 * (p1 - p2) + p3 - p0
    square = 2 * p0 - 5 * p1 + 4 * p2 - p3
    curve = p1 + 0.5 * t * (p2 - p0 + t * (square + t * cubic))
    return np.concatenate([curve.reshape(-1, waypoints.shape[1]), waypoints[-1:]])


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi


def _cell(x: float, y: float) -> int:
    column = int((x - CENTER_X + EXTENT + 0.3) / _CELL)
    row = int((y + EXTENT + 0.3) / _CELL)
    return min(max(row, 0), _CELLS - 1) * _CELLS + min(max(column, 0), _CELLS - 1)


class _Grower:
    """The state of the growth: tips by thickness, and who occupies which cell."""

    def __init__(self, rng: np.random.Generator, disc: tuple, density: float):
        self.rng = rng
        self.disc = disc
        self.density = density
        self.tips: list = []
        self.pushed = 0
        self.branches: list[np.ndarray] = []
        self.veins: list[bool] = []
        self.forks: list[tuple[int, int]] = []  # (child, parent)
        self.cells = ([-1] * _CELLS**2, [-1] * _CELLS**2)
        self.tortuosity = float(rng.uniform(0.03, 0.085))
        self.stock: list[float] = []

    def normal(self) -> float:
        if not self.stock:
            self.stock = self.rng.standard_normal(4096).tolist()
        return self.stock.pop()

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * 0.5 * math.erfc(-self.normal() / math.sqrt(2))

    def push(self, tip: _Tip) -> None:
        self.pushed += 1
        heapq.heappush(self.tips, (-tip.radius, self.pushed, tip))

    def run(self) -> None:
        while self.tips:
            self.grow(heapq.heappop(self.tips)[-1])

    def desired(self, tip: _Tip, travelled: float) -> float:
        """The heading that the place asks for."""
        x, y = tip.x, tip.y
        if tip.guide is not None:
            index = int(travelled / STEP) + 5
            if index < len(tip.guide):
                return math.atan2(tip.guide[index][1] - y, tip.guide[index][0] - x)
        if tip.inward:  # towards the fovea; temporal of it, towards the raphe
            return math.atan2(-0.8 * y, 0.4 * min(0.0, x) - max(0.0, x) - 0.05)
        # Outside the arcades: away from a point that slides towards the disc.
        source_x = min(max(0.6 * x, -0.3), self.disc[0])
        return math.atan2(y * 1.15, x - source_x)

    def steer(self, tip: _Tip, heading: float, own: int) -> float:
        """The turn that keeps clear of vessels to the left or right."""
        turn = 0.0
        for side in (-1, 1):
            for wide in (0.35, 0.9):
                angle = heading + side * wide
                dx, dy = math.cos(angle), math.sin(angle)
                for reach, near in ((0.05, 1.5), (0.1, 1.0), (0.16, 0.6)):
                    at = _cell(tip.x + reach * dx, tip.y + reach * dy)
                    for kind, weight in ((tip.vein, 0.08), (not tip.vein, 0.03)):
                        other = self.cells[kind][at]
                        if other >= 0 and other != own and other != tip.parent:
                            turn -= side * weight * near
        return turn

    def grow(self, tip: _Tip) -> None:
        """Grow one vessel to its end, and push its branches."""
        own = len(self.branches)
        cells = self.cells[tip.vein]
        trunk = tip.guide is not None
        path, children = [(tip.x, tip.y, tip.radius)], []
        curl = travelled = 0.0
        wiggle = self.tortuosity * (0.8 if trunk else self.uniform(0.8, 1.9))
        fork_at = self.uniform(0.14, 0.26) if trunk else self.uniform(0.07, 0.3)
        side = 1 if self.normal() > 0 else -1
        pull = 0.25 if trunk else 0.07
        stop = self.uniform(0.08, 0.3)
        # Thins out to the least radius at the end of its reach, even without forks.
        taper = 0.995 if trunk else (MIN_RADIUS / tip.radius) ** (STEP / tip.reach)
        while tip.radius >= MIN_RADIUS:
            turn = _wrap(self.desired(tip, travelled) - tip.heading)
            curl = 0.7 * curl + wiggle * self.normal()
            tip.heading += pull * turn + curl
            if not trunk:
                tip.heading += self.steer(tip, tip.heading, own)
            tip.x += STEP * math.cos(tip.heading)
            tip.y += STEP * math.sin(tip.heading)
            travelled += STEP
            off_fovea = math.hypot(tip.x, tip.y)
            if tip.inward and off_fovea < stop:
                break
            if tip.inward and off_fovea < stop + 0.3:
                tip.radius *= 0.93
            if math.hypot(tip.x - CENTER_X, tip.y) > EXTENT:
                break
            at = _cell(tip.x, tip.y)
            if not trunk and travelled > 0.07 and cells[at] not in (-1, own):
                if tip.radius < 0.0035:
                    break
                taper = min(taper, 0.93)
            tip.radius *= taper
            path.append((tip.x, tip.y, tip.radius))
            if travelled > 0.05:
                cells[at] = own
            if travelled >= fork_at:
                child = self.fork(tip, own, side, trunk)
                gap = 0.19 if tip.radius > 0.008 else 0.2
                fork_at = travelled + gap * self.uniform(0.4, 1.9) / self.density
                if child is not None:
                    side = -side if self.normal() > -0.7 else side
                    children.append((len(path) - 1, child))
        self.keep(tip, path, children)

    def keep(self, tip: _Tip, path: list, children: list) -> None:
        """Store a vessel that is long enough, and let its branches grow."""
        if len(path) < 4:
            return
        own = len(self.branches)
        self.branches.append(np.array(path))
        self.veins.append(tip.vein)
        if tip.parent >= 0:
            self.forks.append((own, tip.parent))
        for index, child in children:
            if index < len(path) - 1:
                self.push(child)

    def fork(self, tip: _Tip, own: int, side: int, trunk: bool) -> _Tip | None:
        """Split a tip by Murray's law; it goes on as the thicker daughter."""
        big = self.normal() > (0.3 if trunk else 0.0)
        ratio = self.uniform(0.55, 0.95) if big else self.uniform(0.22, 0.5)
        r0 = tip.radius
        ratio = max(ratio, self.uniform(1.25, 1.9) * MIN_RADIUS / r0)
        if ratio > 1:
            return None
        r1 = r0 / (1 + ratio**_MURRAY) ** (1 / _MURRAY)
        r2 = ratio * r1
        cos1 = (r0**4 + r1**4 - r2**4) / (2 * r0**2 * r1**2)
        cos2 = (r0**4 + r2**4 - r1**4) / (2 * r0**2 * r2**2)
        bend1 = math.acos(min(max(cos1, -1), 1))
        bend2 = math.acos(min(max(cos2, -1), 1)) + 0.12 * self.normal()
        heading = tip.heading + side * min(max(bend2, 0.35), 1.2)
        x, y = tip.x, tip.y
        if math.hypot(x - self.disc[0], y - self.disc[1]) < 0.14:
            return None
        between = x < 0.8 * self.disc[0] and math.hypot(0.8 * x, y) < 0.9
        inward = between and y * math.sin(heading) < 0
        if tip.inward and not (big and abs(y) > 0.5):
            inward = True
        tip.radius = r1
        tip.heading -= side * bend1
        reach = self.uniform(100, 210) * r2 + 0.15
        return _Tip(x, y, heading, r2, tip.vein, inward, None, own, reach)


def _courses(
    disc: tuple[float, float], vertical: int, tall: float, open_: float
) -> tuple[np.ndarray, np.ndarray]:
    """Waypoints `[N, 2]` of the temporal and the nasal arcade above (-1) or below."""
    dx, dy = disc
    temporal = np.array(
        [
            (dx + 0.025, dy + vertical * 0.02),
            (dx + 0.02, dy + vertical * 0.12),
            (dx - 0.1, vertical * 0.38 * tall),
            (dx - 0.4, vertical * 0.58 * tall),
            (dx - 0.85, vertical * (0.66 + 0.2 * open_) * tall),
            (dx - 1.4, vertical * (0.72 + 0.6 * open_) * tall),
            (dx - 2.1, vertical * (0.82 + 1.3 * open_) * tall),
        ]
    )
    nasal = np.array(
        [
            (dx + 0.035, dy + vertical * 0.02),
            (dx + 0.08, dy + vertical * 0.1),
            (dx + 0.28, dy + vertical * 0.34 * tall),
            (dx + 0.6, dy + vertical * (0.6 + 0.3 * open_)),
            (dx + 1.1, dy + vertical * (0.9 + 0.6 * open_)),
        ]
    )
    return temporal, nasal


def _trunks(grower: _Grower) -> None:
    """Push the arcades and the small vessels of the disc."""
    rng, (dx, dy) = grower.rng, grower.disc
    height = rng.uniform(0.9, 1.1, 2)
    flare = rng.uniform(-0.15, 0.25, 2)
    calibre = rng.uniform(0.9, 1.12)
    for vertical, tall, open_ in zip((-1, 1), height, flare):
        temporal, nasal = _courses((dx, dy), vertical, tall, open_)
        for course, wide in ((temporal, 1.0), (nasal, 0.72)):
            # The artery swings about the vein: now on one side, now on the other.
            swing = rng.uniform(0.035, 0.075)
            along = np.arange(len(course)) * rng.uniform(0.3, 0.9)
            swing = swing * np.cos(along + rng.uniform(0, 2 * math.pi))
            swing[:2] = rng.choice((-1, 1)) * np.array([0.015, 0.035])
            for vein in (True, False):
                jitter = rng.normal(0, 0.045, course.shape)
                jitter[:2] *= 0.25
                points = course + jitter
                across = np.array([0.5 if vein else -0.5, 1.0 if vein else -1.0])
                points += swing[:, None] * across
                guide = _even(spline(points, 12))
                radius = calibre * wide * (0.018 if vein else 0.0142)
                radius *= rng.uniform(0.85, 1.1)
                heading = math.atan2(*(guide[3] - guide[0])[::-1])
                x, y = guide[0]
                grower.push(_Tip(x, y, heading, radius, vein, guide=guide))
    small = rng.permutation(np.linspace(-0.75, 0.75, 5))[: rng.integers(2, 5)] + math.pi
    nasal = rng.permutation(np.linspace(-0.6, 0.6, 4))[: rng.integers(1, 4)]
    for angle in np.concatenate([small, nasal]):
        vein = bool(rng.random() < 0.5)
        radius = rng.uniform(0.0038, 0.0062)
        x, y = dx + 0.05 * math.cos(angle), dy + 0.08 * math.sin(angle)
        angle += rng.normal(0, 0.3)
        inward = math.cos(angle) < 0
        reach = rng.uniform(0.35, 0.8)
        grower.push(_Tip(x, y, angle, radius, vein, inward, reach=reach))


def _even(curve: np.ndarray) -> np.ndarray:
    """Resample float `[N, 2]` at equal distances of `STEP`."""
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.arange(0, length[-1], STEP)
    return np.stack([np.interp(at, length, curve[:, i]) for i in (0, 1)], axis=1)


def _crossings(branches: list[np.ndarray]) -> np.ndarray:
    """Intersections of segments of different vessels: float64 `[K, 3]`."""
    start = np.concatenate([b[:-1] for b in branches])
    delta = np.concatenate([np.diff(b[:, :2], axis=0) for b in branches])
    owner = np.repeat(np.arange(len(branches)), [len(b) - 1 for b in branches])
    tree = cKDTree(start[:, :2] + 0.5 * delta)
    pairs = tree.query_pairs(1.05 * STEP, output_type="ndarray")
    i, j = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]].T
    cross = delta[i, 0] * delta[j, 1] - delta[i, 1] * delta[j, 0]
    gap = start[j, :2] - start[i, :2]
    safe = np.where(np.abs(cross) < 1e-12, 1.0, cross)
    s = (gap[:, 0] * delta[j, 1] - gap[:, 1] * delta[j, 0]) / safe
    t = (gap[:, 0] * delta[i, 1] - gap[:, 1] * delta[i, 0]) / safe
    hit = (np.abs(cross) >= 1e-12) & (s >= 0) & (s < 1) & (t >= 0) & (t < 1)
    i, j, s = i[hit], j[hit], s[hit]
    where = start[i, :2] + s[:, None] * delta[i]
    # A daughter meets its mother where it starts: that is a fork, not a crossing.
    origin = np.array([b[0, :2] for b in branches])
    near = np.zeros(len(i), bool)
    for one in (owner[i], owner[j]):
        near |= np.hypot(*(where - origin[one]).T) < 0.5 * STEP
    radius = np.minimum(start[i, 2], start[j, 2])
    return np.column_stack([where, radius])[~near]


def merge(points: np.ndarray, distance: float) -> np.ndarray:
    """Replace each group of near points by the member next to its middle.

    Args:
        points: float `[K, 3]`: x, y, radius.
        distance: Points nearer than this are linked; groups are what links connect.

    Returns:
        float64 `[M, 3]`, `M <= K`; the radius is the largest of the group.

    Example:
        >>> merge(np.array([[0.0, 0, 1], [0.1, 0, 2], [5, 5, 1]]), 0.2)
        array([[0., 0., 2.],
               [5., 5., 1.]])
    """
    pairs = cKDTree(points[:, :2]).query_pairs(distance, output_type="ndarray")
    graph = coo_matrix(
        (np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(points),) * 2
    )
    _, group = connected_components(graph, directed=False)
    size = np.bincount(group)
    middle = np.stack([np.bincount(group, points[:, i]) / size for i in (0, 1)], axis=1)
    off = np.sum(np.square(points[:, :2] - middle[group]), axis=1).round(12)
    order = np.lexsort((np.arange(len(points)), off, group))
    first = order[np.cumsum(size) - size]
    radius = np.zeros(len(size))
    np.maximum.at(radius, group, points[:, 2])
    return np.column_stack([points[first, :2], radius])


def grow(
    rng: np.random.Generator,
    *,
    disc: tuple[float, float] = (0.72, -0.05),
    density: float = 1.0,
) -> VesselTree:
    """Grow arteries and veins of one eye.

    Args:
        rng: Source of all chance.
        disc: Centre of the optic disc relative to the fovea, in fields.
        density: Above 1 for more branches, below for fewer.

    Returns:
        The vessels with their keypoints.

    Example:
        >>> tree = grow(np.random.default_rng(0))
        >>> len(tree.branches) > 50
        True
    """
    grower = _Grower(rng, disc, density)
    _trunks(grower)
    grower.run()
    branches = grower.branches
    forks = np.array([branches[child][0] for child, _ in grower.forks])
    found = np.concatenate([forks, _crossings(branches)])
    far = np.hypot(found[:, 0] - disc[0], found[:, 1] - disc[1]) > 0.11
    keypoints = merge(found[far], MERGE)
    smooth = tuple(spline(branch, 4) for branch in branches)
    return VesselTree(smooth, np.array(grower.veins), keypoints)

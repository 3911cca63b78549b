"""Keypoints from vessel masks: bifurcations and crossings of the vessels.

The mask is cleaned and thinned, the skeleton becomes a graph, spurs are removed, and
two three-way junctions that are one crossing of two vessels are merged into one point.
All lengths scale with the diameter of the field of view, so masks of any resolution
give comparable points.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from scipy import ndimage

from rkd_jax.junctions.skeleton import EIGHT, SkeletonGraph


@dataclasses.dataclass(frozen=True)
class Junctions:
    """Junctions of one vessel mask.

    Attributes:
        xy: `[N, 2]` float32, (x, y) in pixels of the mask, pixel centers at whole
            numbers, ordered by y, then x.
        crossing: `[N]` bool, True where four or more branches meet.
        skeleton: `[H, W]` bool, the center lines that were kept.
    """

    xy: np.ndarray
    crossing: np.ndarray
    skeleton: np.ndarray


def find_junctions(
    vessels: np.ndarray,
    field: np.ndarray | None = None,
    *,
    hole_frac: float = 0.012,
    component_frac: float = 0.05,
    spur_frac: float = 0.035,
    spur_widths: float = 2.0,
    bend_deg: float = 40.0,
    crossing_widths: float = 1.3,
    merge_frac: float = 0.012,
    rim_frac: float = 0.02,
    max_points: int | None = None,
) -> Junctions:
    """Return bifurcations and crossings of a vessel mask.

    Args:
        vessels: `[H, W]`, nonzero = vessel.
        field: `[H, W]` bool, the field of view; None takes the whole image.
        hole_frac: holes smaller than the square of this fraction of the field's
            diameter are filled.
        component_frac: components whose center line is shorter are dropped.
        spur_frac: dead ends shorter than this fraction of the diameter are spurs.
        spur_widths: and so are those shorter than this many of their own widths.
        bend_deg: largest bend of a vessel that runs through a crossing.
        crossing_widths: longest common piece of two crossing vessels, in lengths of
            the overlap of two straight vessels, `width / sin(angle / 2)`.
        merge_frac: junctions nearer than this fraction of the diameter are one.
        rim_frac: width of the band along the rim of the field without points.
        max_points: keep this many, those of the widest vessels (the third widest
            branch counts, times its length up to a tenth of the diameter).

    Returns:
        The junctions.

    Raises:
        ValueError: the mask is not two-dimensional, or the field has another shape or
            is empty.

    >>> mask = np.zeros((101, 101), bool)
    >>> mask[49:52, 10:91] = mask[10:91, 49:52] = True
    >>> junctions = find_junctions(mask)
    >>> junctions.xy.round().tolist(), junctions.crossing.tolist()
    ([[50.0, 50.0]], [True])
    """
    vessels, field = _checked(vessels, field)
    rows, cols = np.nonzero(field)
    diameter = float(max(np.ptp(rows), np.ptp(cols)) + 1)
    mask = fill_small_holes(vessels & field, (hole_frac * diameter) ** 2)
    # An empty border keeps the distance transform right at the edge of the image.
    radius = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    lines = _thin(mask, component_frac * diameter)
    graph = SkeletonGraph(lines, radius)
    graph.prune(min_px=spur_frac * diameter, min_widths=spur_widths)
    merge_px = merge_frac * diameter
    _merge_crossings(graph, np.deg2rad(bend_deg), crossing_widths, merge_px)
    _merge_near(graph, merge_px)

    to_rim = ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1]
    rim_px = rim_frac * diameter
    keys = [k for k, n in graph.nodes.items() if _value(to_rim, n.xy) > rim_px]
    if max_points is not None:
        keys = sorted(keys, key=lambda k: (-_caliber(graph, k, 0.1 * diameter), k))[
            :max_points
        ]
    keys = sorted(keys, key=lambda k: tuple(graph.nodes[k].xy[::-1]))
    xy = np.array([graph.nodes[k].xy for k in keys], np.float64).reshape(-1, 2)
    crossing = np.array([len(graph.at(k)) >= 4 for k in keys], bool)
    return Junctions(xy.astype(np.float32), crossing, _draw(graph, lines.shape))


def fill_small_holes(mask: np.ndarray, area_px: float) -> np.ndarray:
    """Fill background regions of fewer than `area_px` pixels (four-connected).

    >>> ring = np.ones((3, 3), bool)
    >>> ring[1, 1] = False
    >>> bool(fill_small_holes(ring, 2)[1, 1]), bool(fill_small_holes(ring, 1)[1, 1])
    (True, False)
    """
    labels, _ = ndimage.label(~mask)
    small = np.bincount(labels.ravel()) < area_px
    small[0] = False
    return mask | small[labels]


def bright_disc(image: np.ndarray) -> np.ndarray:
    """Return the bright disc of a fundus photograph that comes with no field mask.

    By the red channel, not by the brightest one as `images.field` has it: film scans
    have a greenish frame, which that takes for a part of the field (on six scans of
    STARE the two share .77 to .97 of their union; on DRIVE, whose masks are known, this
    one is nearer to them by .001 to .004).

    Args:
        image: `[H, W]` or `[H, W, 3]` (RGB), any range.

    Returns:
        `[H, W]` bool: the largest bright region with its holes filled.

    Raises:
        ValueError: the image has no bright region (it is constant).

    >>> image = np.zeros((20, 20))
    >>> image[5:15, 5:15] = 90
    >>> field = bright_disc(image)
    >>> bool(field[10, 10]), bool(field[0, 0])
    (True, False)
    """
    image = np.asarray(image, np.float64)
    level = image[..., 0] if image.ndim == 3 else image
    low, high = np.percentile(level, [0.5, 99])
    bright = ndimage.median_filter(level, 5) > low + 0.12 * (high - low)
    # Closing joins what dark vessels and shadows cut; the frame keeps it off the edge.
    size = max(2, round(0.02 * max(level.shape)))
    closed = ndimage.binary_closing(np.pad(bright, 2 * size), iterations=size)
    labels, count = ndimage.label(closed[2 * size : -2 * size, 2 * size : -2 * size])
    if count == 0:
        raise ValueError("the image is constant: no field of view to be found")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return ndimage.binary_fill_holes(labels == sizes.argmax())


def _checked(vessels, field):
    vessels = np.asarray(vessels) != 0
    if vessels.ndim != 2:
        raise ValueError(f"the vessel mask must be [H, W], got shape {vessels.shape}")
    field = np.ones_like(vessels) if field is None else np.asarray(field) != 0
    if field.shape != vessels.shape:
        raise ValueError(
            f"the vessel mask is {vessels.shape} but the field of view is "
            f"{field.shape}: they must be of one image"
        )
    if not field.any():
        raise ValueError("the field of view is empty: no pixel of it is set")
    return vessels, field


def _thin(mask: np.ndarray, min_length_px: float) -> np.ndarray:
    """Return the skeleton without components of few pixels."""
    from skimage.morphology import skeletonize

    lines = skeletonize(np.pad(mask, 1))[1:-1, 1:-1]
    labels, _ = ndimage.label(lines, EIGHT)
    keep = np.bincount(labels.ravel()) >= min_length_px
    keep[0] = False
    return keep[labels]


def _outward(graph: SkeletonGraph, node: int, branch: int, span_px: float):
    """Return point, unit direction and width of a branch just outside a node."""
    path = graph.branches[branch].from_node(node)
    away = np.linalg.norm(path - graph.nodes[node].xy, axis=1)
    start = graph.nodes[node].radius + 1.0
    near = path[(away >= start) & (away <= start + span_px)]
    if len(near) < 3:
        near = path[len(path) // 2 : len(path) // 2 + max(3, int(span_px))]
    width = graph.width(near)
    center = near.mean(axis=0)
    if len(near) >= 3:
        direction = np.linalg.svd(near - center)[2][0]
        if direction @ (near[-1] - near[0]) < 0:
            direction = -direction
    else:
        direction = center - graph.nodes[node].xy
    return center, direction / max(np.linalg.norm(direction), 1e-9), width


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    scale = max(np.linalg.norm(a) * np.linalg.norm(b), 1e-9)
    return float(np.arccos(np.clip(a @ b / scale, -1.0, 1.0)))


def _intersection(p, d, q, e) -> np.ndarray | None:
    """Return where the lines `p + s d` and `q + t e` meet (None: parallel)."""
    det = d[1] * e[0] - d[0] * e[1]
    if abs(det) < 0.15:
        return None
    r = q - p
    return p + d * (r[1] * e[0] - r[0] * e[1]) / det


def _crossing(graph, joint: int, bend: float, widths: float, span_px: float):
    """Return `(bend, xy)` if a branch is the common piece of two vessels, or None."""
    u, v = graph.branches[joint].ends
    outer = [[k for k in graph.at(n) if k != joint] for n in (u, v)]
    if len(set(outer[0] + outer[1])) != 4:
        return None
    a = [_outward(graph, u, k, span_px) for k in outer[0]]
    b = [_outward(graph, v, k, span_px) for k in outer[1]]
    best = None
    for order in ((0, 1), (1, 0)):
        pairs = [(a[0], b[order[0]]), (a[1], b[order[1]])]
        worst = max(
            max(_angle(-da, db), _angle(pb - pa, db), _angle(pb - pa, -da))
            for (pa, da, _), (pb, db, _) in pairs
        )
        if best is None or worst < best[0]:
            best = (worst, pairs)
    worst, pairs = best
    if worst > bend:
        return None
    chords = [pb - pa for (pa, _, _), (pb, _, _) in pairs]
    chords = [c / max(np.linalg.norm(c), 1e-9) for c in chords]
    half = max(_angle(*chords) / 2.0, np.deg2rad(10.0))
    width = max((x[2] + y[2]) / 2.0 for x, y in pairs)
    length = graph.branches[joint].length(graph.nodes)
    if length > widths * width / np.sin(half) + 3.0:
        return None
    middle = (graph.nodes[u].xy + graph.nodes[v].xy) / 2.0
    meet = _intersection(pairs[0][0][0], chords[0], pairs[1][0][0], chords[1])
    if meet is None or np.linalg.norm(meet - middle) > length / 2.0 + 1.0:
        meet = middle
    return worst, meet


def _merge_crossings(graph, bend: float, widths: float, merge_px: float) -> None:
    """Merge pairs of three-way nodes that are one crossing, the straightest first."""
    while True:
        found = []
        for key, branch in graph.branches.items():
            u, v = branch.ends
            if u is None or v is None or u == v:
                continue
            if len(graph.at(u)) != 3 or len(graph.at(v)) != 3:
                continue
            span_px = max(1.5 * merge_px, 1.5 * graph.width(branch.path))
            crossing = _crossing(graph, key, bend, widths, span_px)
            if crossing is not None:
                found.append((crossing[0], key, crossing[1]))
        if not found:
            return
        for _, key, xy in sorted(found, key=lambda f: f[:2]):
            u, v = graph.branches[key].ends if key in graph.branches else (None, None)
            # A neighbor merged in this round may have changed one of the ends.
            if (
                u != v
                and u in graph.nodes
                and len(graph.at(u)) == len(graph.at(v)) == 3
            ):
                del graph.branches[key]
                graph.merge(u, v, xy, 4.0 * merge_px)


def _merge_near(graph: SkeletonGraph, merge_px: float) -> None:
    """Merge nodes nearer than `merge_px` or half a vessel width, the nearest first."""
    while True:
        near = []
        for i, j in itertools.combinations(sorted(graph.nodes), 2):
            a, b = graph.nodes[i], graph.nodes[j]
            gap = float(np.linalg.norm(a.xy - b.xy))
            if gap < max(merge_px, min(a.radius, b.radius)):
                near.append((gap, i, j))
        if not near:
            return
        _, i, j = min(near)
        middle = (graph.nodes[i].xy + graph.nodes[j].xy) / 2.0
        graph.merge(i, j, middle, 4.0 * merge_px)


def _caliber(graph: SkeletonGraph, node: int, long_px: float) -> float:
    """Return how prominent a node is: width times length of its third branch.

    A branch that goes on behind another node counts as long.
    """
    sizes = []
    for key in graph.at(node):
        branch = graph.branches[key]
        path = branch.from_node(node)[: int(long_px)]
        length = len(path) if branch.free else long_px
        sizes.append(graph.width(path) * length)
    return sorted(sizes, reverse=True)[2]


def _value(array: np.ndarray, xy: np.ndarray) -> float:
    col, row = np.rint(xy).astype(int)
    inside = 0 <= row < array.shape[0] and 0 <= col < array.shape[1]
    return float(array[row, col]) if inside else 0.0


def _draw(graph: SkeletonGraph, shape: tuple[int, int]) -> np.ndarray:
    lines = np.zeros(shape, bool)
    for branch in graph.branches.values():
        cols, rows = np.rint(branch.path).astype(int).T
        lines[rows, cols] = True
    return lines

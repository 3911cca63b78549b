"""Skeleton of a vessel mask as a graph: nodes, branches, pruning, contraction."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from scipy import ndimage

EIGHT = np.ones((3, 3), bool)
_STEPS = [s for s in itertools.product((-1, 0, 1), repeat=2) if s != (0, 0)]


@dataclasses.dataclass
class Node:
    """A place where branches meet.

    Attributes:
        xy: `[2]` float64, its position in pixels.
        radius: vessel radius there, in pixels.
    """

    xy: np.ndarray
    radius: float


@dataclasses.dataclass
class Branch:
    """A piece of center line between two nodes.

    Attributes:
        path: `[L, 2]` float64, its (x, y) pixels in order.
        ends: node at the first and at the last pixel; None for a free end.
    """

    path: np.ndarray
    ends: tuple[int | None, int | None]

    @property
    def free(self) -> bool:
        """True if exactly one end is free: a dead end or a spur."""
        return (self.ends[0] is None) != (self.ends[1] is None)

    def from_node(self, node: int) -> np.ndarray:
        """Return the path with the end at `node` first."""
        return self.path if self.ends[0] == node else self.path[::-1]

    def length(self, nodes: dict[int, Node]) -> float:
        """Return the length in pixels, up to the centers of its nodes."""
        first = [nodes[self.ends[0]].xy[None]] if self.ends[0] is not None else []
        last = [nodes[self.ends[1]].xy[None]] if self.ends[1] is not None else []
        line = np.concatenate([*first, self.path, *last])
        return float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())


class SkeletonGraph:
    """Nodes and branches of a one-pixel-wide skeleton.

    Skeleton pixels with three or more neighbors form clusters; a cluster where
    three or more branches end is a node at the centroid of its pixels, others are
    corners and are dissolved.

    Args:
        skeleton: `[H, W]` bool.
        radius: `[H, W]` float, distance from each vessel pixel to the background.

    >>> skeleton = np.zeros((9, 9), bool)
    >>> skeleton[4, 1:8] = skeleton[5:8, 4] = True
    >>> graph = SkeletonGraph(skeleton, np.ones((9, 9)))
    >>> len(graph.nodes), len(graph.branches)
    (1, 3)
    """

    def __init__(self, skeleton: np.ndarray, radius: np.ndarray):
        skeleton = np.asarray(skeleton, bool)
        around = ndimage.convolve(skeleton.astype(np.int32), EIGHT.astype(np.int32))
        crowded = skeleton & (around - 1 >= 3)
        clusters, count = ndimage.label(crowded, EIGHT)
        self.radius = radius
        self.nodes: dict[int, Node] = {}
        self.branches: dict[int, Branch] = {}
        self._next = count + 1
        for label, box in enumerate(ndimage.find_objects(clusters), start=1):
            rows, cols = np.nonzero(clusters[box] == label)
            rows, cols = rows + box[0].start, cols + box[1].start
            self.nodes[label] = Node(
                np.array([cols.mean(), rows.mean()]),
                float(radius[rows, cols].max()),
            )
        for path, ends in _trace(skeleton & ~crowded, clusters):
            self._add(path, ends)
        for node in list(self.nodes):
            self.dissolve(node)

    def _add(self, path: np.ndarray, ends: tuple[int | None, int | None]) -> int:
        self._next += 1
        self.branches[self._next] = Branch(path, ends)
        return self._next

    def at(self, node: int) -> list[int]:
        """Return the branches that end at `node` (a loop is listed twice)."""
        return [
            k
            for k, branch in self.branches.items()
            for end in branch.ends
            if end == node
        ]

    def remove(self, branch: int) -> None:
        """Remove a branch and dissolve its nodes where two branches remain."""
        ends = self.branches.pop(branch).ends
        for node in set(ends) - {None}:
            self.dissolve(node)

    def dissolve(self, node: int) -> None:
        """Turn a node of fewer than three branches into a point of one branch."""
        meeting = self.at(node)
        if len(meeting) >= 3:
            return
        xy = self.nodes.pop(node).xy[None]
        if len(set(meeting)) == 2:
            one, two = (self.branches.pop(k) for k in meeting)
            head, tail = one.from_node(node)[::-1], two.from_node(node)
            far = [b.ends[1] if b.ends[0] == node else b.ends[0] for b in (one, two)]
            self._add(np.concatenate([head, xy, tail]), (far[0], far[1]))
        elif meeting:
            branch = self.branches.pop(meeting[0])
            if len(meeting) == 2:
                self._add(np.concatenate([branch.path, xy]), (None, None))
            else:
                path = branch.from_node(node)[::-1]
                far = branch.ends[1] if branch.ends[0] == node else branch.ends[0]
                self._add(np.concatenate([path, xy]), (far, None))

    def merge(self, first: int, second: int, xy: np.ndarray, loop_px: float) -> None:
        """Replace two nodes by one at `xy`; loops below `loop_px` vanish."""
        radius = max(self.nodes[first].radius, self.nodes[second].radius)
        del self.nodes[first], self.nodes[second]
        self._next += 1
        merged = self._next
        self.nodes[merged] = Node(np.asarray(xy, np.float64), radius)
        for key, branch in list(self.branches.items()):
            ends = tuple(merged if e in (first, second) else e for e in branch.ends)
            branch.ends = ends
            if ends == (merged, merged) and branch.length(self.nodes) < loop_px:
                del self.branches[key]
        self.dissolve(merged)

    def width(self, path: np.ndarray) -> float:
        """Return the median vessel width in pixels along `path` `[L, 2]`."""
        cols, rows = np.rint(path).astype(int).T
        return float(max(1.0, np.median(2.0 * self.radius[rows, cols] - 1.0)))

    def prune(self, *, min_px: float, min_widths: float) -> None:
        """Remove spurs, the shortest first.

        The length of a dead end counts from the border of the vessel it leaves (not
        from its center line) to its tip.

        Args:
            min_px: shorter dead ends are spurs.
            min_widths: and so are those shorter than this many of their own widths.
        """
        while spurs := self._spurs(min_px, min_widths):
            done: set[int] = set()
            for _, key, node in sorted(spurs):
                # One spur a node and round: what remains may be no spur any more.
                if key in self.branches and node in self.nodes and node not in done:
                    done.add(node)
                    self.remove(key)

    def _spurs(self, min_px: float, min_widths: float):
        """Return `(visible length, branch, node)` of the dead ends too short."""
        spurs = []
        for key, branch in self.branches.items():
            if not branch.free:
                continue
            node = branch.ends[0] if branch.ends[0] is not None else branch.ends[1]
            path = branch.from_node(node)
            tip_col, tip_row = np.rint(path[-1]).astype(int)
            trunk = self.nodes[node].radius
            seen = branch.length(self.nodes) - trunk + self.radius[tip_row, tip_col]
            outside = np.linalg.norm(path - self.nodes[node].xy, axis=1) > trunk
            width = self.width(path[outside] if outside.any() else path[-1:])
            if seen < max(min_px, min_widths * width):
                spurs.append((float(seen), key, node))
        return spurs


def _trace(rest: np.ndarray, clusters: np.ndarray):
    """Yield `(path [L, 2] in (x, y), ends)` for each run of skeleton pixels."""
    labels, _ = ndimage.label(rest, EIGHT)
    padded = np.pad(clusters, 1)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        rows, cols = np.nonzero(labels[box] == label)
        left = set(zip((rows + box[0].start).tolist(), (cols + box[1].start).tolist()))
        near = {p: [q for q in _around(p) if q in left] for p in left}
        start = min(left, key=lambda p: (len(near[p]), p))
        path, seen = [start], {start}
        while nxt := [q for q in near[path[-1]] if q not in seen]:
            path.append(nxt[0])
            seen.add(nxt[0])
        touch = [_touched(padded, p) for p in (path[0], path[-1])]
        if len(path) == 1:
            touch = [touch[0][:1], touch[0][1:]]
            if len(_touch_pixels(padded, path[0])) > 1 and not touch[1]:
                continue
        ends = tuple(t[0] if t else None for t in touch)
        yield np.array(path, np.float64)[:, ::-1], ends


def _around(pixel: tuple[int, int]):
    return [(pixel[0] + dr, pixel[1] + dc) for dr, dc in _STEPS]


def _touch_pixels(padded: np.ndarray, pixel: tuple[int, int]) -> np.ndarray:
    window = padded[pixel[0] : pixel[0] + 3, pixel[1] : pixel[1] + 3]
    return window[window > 0]


def _touched(padded: np.ndarray, pixel: tuple[int, int]) -> list[int]:
    return np.unique(_touch_pixels(padded, pixel)).tolist()

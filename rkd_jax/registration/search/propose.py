"""Which turn and which scale lie between two photographs: hypotheses to try.

A network finds a point again in a photograph that is turned by up to 25 degrees or
scaled by up to 1.3. Where a pair is not registered as it was taken, this module looks
for similarity transforms (turn, scale, shift) that enough matches agree with:

- SIFT's matches, at every turn and scale. SIFT sees a larger copy of each photograph
  than the network, so that a narrow field is found in one that is five times as wide.
- The network's matches with the moving photograph turned by 45, 90, ... 315 degrees, at
  half the working size: for pairs that SIFT cannot match (another light or modality).

A hypothesis is not a result: `search.rectify` brings the photographs to one
turn and scale by it, and they are matched, fitted and judged anew.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from rkd_jax.images.prepare import Resized
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.keypoints.dog import make_sift, root_sift, to_levels
from rkd_jax.registration.matching.nearest import match_keypoints
from rkd_jax.registration.matching.refine import Photograph
from rkd_jax.registration.search.rectify import Detail, cut
from rkd_jax.registration.transforms import Homography

MAX_SCALE = 8.0  # of one field's width to the other's: 25 degrees against 200
TURNS_DEG = (45, 90, 135, 180, 225, 270, 315)

_SIFT_SIDE_PX = 1536  # of the copy that SIFT sees: twice the usual working size
_SIFT_POINTS, _NETWORK_POINTS = 4096, 2048
_SIFT_RATIO = 0.85
_GROUPS = 2  # turns and scales that are tried
# How far matches may be from a common turn and scale to be of one group.
_TURN_DEG, _LOG_SCALE = 20.0, 0.4
# Two views of a curved eye differ from a similarity by so much of the field's width.
_REACH_FRAC = 0.02
_NETWORK_SCALE = 2.0  # the network sees no scale beyond; a larger one is chance
# Matches that must agree. Of SIFT's, 1 of 80 unrelated pairs had 4, none 5 (their turns
# and scales must agree as well); of the network's a third had 12.
_LEAST_SIFT, _LEAST_NETWORK = 5, 12


@dataclasses.dataclass(frozen=True, eq=False)
class Hypothesis:
    """A similarity that may lie between two photographs.

    Attributes:
        transform: from the moving to the fixed file.
        support: matches that agree with it.
        source: "SIFT" or "network".
    """

    transform: Homography
    support: int
    source: str

    @property
    def scale(self) -> float:
        """Pixels of the fixed file to one of the moving file."""
        return math.hypot(*self.transform.matrix[:2, 0])


@dataclasses.dataclass(frozen=True, eq=False)
class Oriented:
    """SIFT's keypoints of one photograph, of a fixed number.

    Attributes:
        keypoints: `xy` in working pixels, RootSIFT descriptors.
        angle_deg: `[K]` orientations, clockwise from the x axis.
        size: `[K]` diameters in working pixels.
    """

    keypoints: Keypoints
    angle_deg: np.ndarray
    size: np.ndarray


def oriented_points(photograph: Detail) -> Oriented:
    """Find SIFT's keypoints with turn and size, the strongest of every octave.

    They come from a copy with a side of up to `_SIFT_SIDE_PX`.
    """
    x0, y0, x1, y1 = box = photograph.prepared.box
    side = min(_SIFT_SIDE_PX, max(x1 - x0, y1 - y0))
    finer: Photograph = photograph
    if side > photograph.field.shape[0]:
        finer = cut(photograph, box, side)
    else:
        side = photograph.field.shape[0]
    sift = make_sift()
    image = to_levels(finer.prepared)
    height, width = image.shape
    found = sift.detect(image, finer.field[:height, :width].astype(np.uint8))
    kept = _of_every_octave(found, _SIFT_POINTS)
    xy, angle = np.zeros((_SIFT_POINTS, 2)), np.zeros(_SIFT_POINTS)
    size = np.ones(_SIFT_POINTS)
    descriptors = np.zeros((_SIFT_POINTS, 128), np.float32)
    count = 0
    if kept:
        kept, raw = sift.compute(image, kept)
        count = len(kept)
        descriptors[:count] = root_sift(raw)
        places = finer.prepared.to_file(cv2.KeyPoint.convert(kept))
        xy[:count] = photograph.prepared.from_file(places)
        angle[:count] = [point.angle for point in kept]
        size[:count] = [point.size for point in kept]
    mask = np.arange(_SIFT_POINTS) < count
    keypoints = Keypoints(
        xy=xy, scores=mask.astype(np.float32), mask=mask, descriptors=descriptors
    )
    return Oriented(keypoints, angle, size * (photograph.field.shape[0] / side))


def _of_every_octave(points: Sequence[cv2.KeyPoint], limit: int) -> list[cv2.KeyPoint]:
    """Keep the strongest points of each octave, at most `limit` in all.

    Fine octaves have most of the points. The coarse ones, by which a narrow field is
    found in a wide one, would get no place without a share of their own.
    """
    octaves: dict[int, list[cv2.KeyPoint]] = {}
    for point in sorted(points, key=lambda point: -point.response):
        octaves.setdefault(point.octave & 255, []).append(point)
    kept: list[cv2.KeyPoint] = []
    groups = sorted(octaves.values(), key=len)
    for left, group in zip(range(len(groups), 0, -1), groups, strict=True):
        kept += group[: (limit - len(kept)) // left]
    return kept


def _angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the difference of angles in degrees, 0 to 180."""
    return np.abs((a - b + 180.0) % 360.0 - 180.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Similarity:
    """Turn, scale and shift between two working images.

    Attributes:
        matrix: `[3, 3]`, from working pixels of the moving to those of the fixed image.
    """

    matrix: np.ndarray

    @property
    def scale(self) -> float:
        """Fixed pixels to one moving pixel."""
        return math.hypot(*self.matrix[:2, 0])

    @property
    def turn_deg(self) -> float:
        """Turn from the x axis to the y axis: clockwise, as y points down."""
        return math.degrees(math.atan2(self.matrix[1, 0], self.matrix[0, 0]))

    def between(self, fixed: Resized, moving: Resized) -> Homography:
        """Return it between the files of the two images."""
        from_working = np.linalg.inv(working_matrix(fixed))
        return Homography(from_working @ self.matrix @ working_matrix(moving))


def working_matrix(prepared: Resized) -> np.ndarray:
    """Return `prepared.from_file` as a `[3, 3]` matrix.

    Example:
        >>> half = Resized(np.zeros((8, 8)), (8, 8), (4, 0, 20, 16), (16, 20))
        >>> (working_matrix(half) @ [4.5, 0.5, 1]).tolist()
        [0.0, 0.0, 1.0]
    """
    sx, sy = prepared.scale
    shift = prepared.from_file([0.0, 0.0])
    return np.array([[sx, 0, shift[0]], [0, sy, shift[1]], [0, 0, 1.0]])


def fit_similarity(
    moving: np.ndarray, fixed: np.ndarray, reach_px: float
) -> tuple[Similarity, np.ndarray] | None:
    """Fit turn, scale and shift to matches of which many are wrong.

    Args:
        moving: `[M, 2]` points of the moving image.
        fixed: `[M, 2]` points of the fixed image.
        reach_px: how far a match may be off, in pixels of the fixed image.

    Returns:
        The similarity and the mask `[M]` of matches that agree; None where nothing
        fits, or with fewer than `_LEAST_SIFT` matches.
    """
    if len(moving) < _LEAST_SIFT:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        moving,
        fixed,
        method=cv2.RANSAC,
        ransacReprojThreshold=reach_px,
        maxIters=5000,
        confidence=0.999,
    )
    if matrix is None or not np.isfinite(matrix).all():
        return None
    found = Similarity(np.vstack([matrix, [0.0, 0.0, 1.0]]))
    return (found, inliers[:, 0] > 0) if found.scale > 1e-3 else None


def by_sift(fixed: Detail, moving: Detail) -> list[Hypothesis]:
    """Find similarities that SIFT's matches agree with, in place, turn and scale.

    Each match says by itself how far the photographs are turned and scaled against
    each other. The two turns and scales that most matches share are fitted.

    Source: Lowe, IJCV 2004, section 7 (voting for turn and scale).
    """
    with ThreadPoolExecutor(2) as pool:  # OpenCV leaves the interpreter free
        points0, points1 = pool.map(oriented_points, (fixed, moving))
    pairs, _ = match_keypoints(
        points1.keypoints, points0.keypoints, ratio=_SIFT_RATIO, mutual=True
    )
    rows1, rows0 = pairs.T
    turn = points0.angle_deg[rows0] - points1.angle_deg[rows1]
    log_scale = np.log(points0.size[rows0] / points1.size[rows1])
    xy0, xy1 = points0.keypoints.xy[rows0], points1.keypoints.xy[rows1]
    left = np.ones(len(pairs), bool)
    found = []
    for _ in range(_GROUPS):
        alike = _angle_between(turn[:, None], turn[None]) < _TURN_DEG
        alike &= np.abs(log_scale[:, None] - log_scale[None]) < _LOG_SCALE
        alike &= left[:, None] & left[None]
        if not alike.any():
            break
        group = np.flatnonzero(alike[alike.sum(axis=1).argmax()])
        left[group] = False
        # Of the narrower field's width, in pixels of the fixed photograph.
        scale = float(np.exp(np.median(log_scale[group])))
        reach = _REACH_FRAC * fixed.field.shape[0] * min(1.0, scale)
        fitted = fit_similarity(xy1[group], xy0[group], reach)
        if fitted is None:
            continue
        similarity, agree = fitted
        agree &= _angle_between(turn[group], similarity.turn_deg) < _TURN_DEG
        agree &= np.abs(log_scale[group] - math.log(similarity.scale)) < _LOG_SCALE
        support = _places(xy0[group][agree], reach)
        if support >= _LEAST_SIFT and 1 / MAX_SCALE < similarity.scale < MAX_SCALE:
            transform = similarity.between(fixed.prepared, moving.prepared)
            found.append(Hypothesis(transform, support, "SIFT"))
    return found


def by_network(
    features: Callable[[Sequence[tuple[Resized, np.ndarray]]], list[Keypoints]],
    fixed: Photograph,
    moving: Photograph,
    *,
    ratio: float | None,
    mutual: bool,
) -> list[Hypothesis]:
    """Find a similarity by a network's points in the turned moving photograph.

    Args:
        features: finds keypoints of prepared images and their fields, in a batch.
        fixed: the fixed photograph at the working size.
        moving: the moving photograph, likewise.
        ratio: as in `rkd_jax.registration.matching.nearest.mutual_nearest`.
        mutual: as there.

    Returns:
        The similarity that most matches of one turn agree with, if they are enough.
    """
    still, *turned = (
        _turned(fixed, 0.0),
        *(_turned(moving, turn) for turn in TURNS_DEG),
    )
    found = features([(view.prepared, view.field) for view in (still, *turned)])
    points0, *points = (_compact(keypoints) for keypoints in found)
    reach = _REACH_FRAC * len(still.field)
    best: tuple[int, np.ndarray] = (_LEAST_NETWORK - 1, np.eye(3))
    for view, points1 in zip(turned, points, strict=True):
        pairs, _ = match_keypoints(points1, points0, ratio=ratio, mutual=mutual)
        xy1, xy0 = points1.xy[pairs[:, 0]], points0.xy[pairs[:, 1]]
        fitted = fit_similarity(xy1, xy0, reach)
        if fitted is None:
            continue
        similarity, agree = fitted
        support = _places(xy0[agree], reach)
        if support > best[0] and 1 / _NETWORK_SCALE < similarity.scale < _NETWORK_SCALE:
            back = np.linalg.inv(still.matrix)
            best = support, back @ similarity.matrix @ view.matrix
    support, matrix = best
    if support < _LEAST_NETWORK:
        return []
    transform = Similarity(matrix).between(fixed.prepared, moving.prepared)
    return [Hypothesis(transform, support, "network")]


def _compact(keypoints: Keypoints) -> Keypoints:
    """Keep the first `_NETWORK_POINTS` valid rows: a small image has no more.

    Matching compares all rows, valid or not.
    """
    rows = np.flatnonzero(keypoints.mask)[:_NETWORK_POINTS]
    rows = np.pad(rows, (0, _NETWORK_POINTS - len(rows)))
    mask = np.arange(_NETWORK_POINTS) < keypoints.mask.sum()
    return Keypoints(
        xy=keypoints.xy[rows],
        scores=keypoints.scores[rows],
        mask=mask,
        descriptors=keypoints.descriptors[rows],
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Turned(Photograph):
    """A photograph turned, at half the working size.

    Attributes:
        matrix: `[3, 3]`, from the working image to this one.
    """

    matrix: np.ndarray


def _turned(photograph: Photograph, turn_deg: float) -> _Turned:
    """Turn a photograph about the middle of its picture, into a square."""
    prepared = photograph.prepared
    whole = prepared.image.shape[0]
    side = whole // 2 // 16 * 16
    height, width = prepared.size
    middle = 0.5 * (width - 1), 0.5 * (height - 1)
    matrix = cv2.getRotationMatrix2D(middle, turn_deg, side / whole)
    matrix[:, 2] += 0.5 * (side - 1) - np.array(middle)
    smooth = cv2.GaussianBlur(prepared.image, (0, 0), 0.5 * whole / side)
    image = cv2.warpAffine(smooth, matrix, (side, side))
    field = cv2.warpAffine(
        photograph.field.astype(np.uint8),
        matrix,
        (side, side),
        flags=cv2.INTER_NEAREST,
    )
    square = (side, side)
    return _Turned(
        Resized(image, square, (0, 0, *square), square),
        field > 0,
        np.vstack([matrix, [0.0, 0.0, 1.0]]),
    )


def _places(points: np.ndarray, reach_px: float) -> int:
    """Count points that are not the same place seen again at another scale."""
    return len(np.unique(np.round(points / reach_px), axis=0))

"""Hypotheses to try: the turn and the scale between two photographs.

A network finds a point again in a photograph that is turned by up to 25 degrees or
scaled by up to 1.3. Where a pair is not registered as it was taken, this module
searches similarity transforms (turn, scale, shift) with which enough matches agree:

- SIFT's matches, at every turn and scale. SIFT gets a larger copy of each photograph
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

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.nearest import match_keypoints
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.search.oriented import oriented_points
from rkd_jax.registration.search.similarity import (
    LEAST_MATCHES,
    Similarity,
    fit_similarity,
)
from rkd_jax.registration.transforms import Homography

MAX_SCALE = 8.0  # of one field's width to the other's: 25 degrees against 200
TURNS_DEG = (45, 90, 135, 180, 225, 270, 315)

_NETWORK_POINTS = 2048
_SIFT_RATIO = 0.85
_GROUPS = 2  # turns and scales that are tried
# How far matches may be from a common turn and scale to be of one group.
_TURN_DEG, _LOG_SCALE = 20.0, 0.4
# Two views of a curved eye differ from a similarity by so much of the field's width.
_REACH_FRAC = 0.02
_NETWORK_SCALE = 2.0  # the network matches no larger scale; one beyond is chance
# Matches that must agree. Of 80 unrelated pairs, 1 had 4 of SIFT's and none had 5
# (turns and scales must agree as well); a third had 12 of the network's.
_LEAST_SIFT, _LEAST_NETWORK = LEAST_MATCHES, 12


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


def _angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the difference of angles in degrees, 0 to 180."""
    return np.abs((a - b + 180.0) % 360.0 - 180.0)


def by_sift(fixed: Photo, moving: Photo) -> list[Hypothesis]:
    """Find similarities that SIFT's matches agree with, in place, turn and scale.

    Each match has its own turn and scale between the photographs. The two turns and
    scales that most matches share are fitted.

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
            transform = similarity.between(fixed, moving)
            found.append(Hypothesis(transform, support, "SIFT"))
    return found


def by_network(
    detect: Callable[[Sequence[Photo]], list[Keypoints]],
    fixed: Photo,
    moving: Photo,
    *,
    ratio: float | None,
    mutual: bool,
) -> list[Hypothesis]:
    """Find a similarity by a network's points in the turned moving photograph.

    Args:
        detect: finds the keypoints of photographs, in a batch.
        fixed: the fixed photograph at the working size.
        moving: the moving photograph, likewise.
        ratio: as in `rkd_jax.registration.matching.nearest.mutual_nearest`.
        mutual: as there.

    Returns:
        The similarity that most matches of one turn agree with, if they are enough.
    """
    (still, to_still), *turned = (
        _turned(fixed, 0.0),
        *(_turned(moving, turn) for turn in TURNS_DEG),
    )
    found = detect([still, *(photo for photo, _ in turned)])
    points0, *points = (_compact(keypoints) for keypoints in found)
    reach = _REACH_FRAC * len(still.field)
    best: tuple[int, np.ndarray] = (_LEAST_NETWORK - 1, np.eye(3))
    for (_, to_turned), points1 in zip(turned, points, strict=True):
        pairs, _ = match_keypoints(points1, points0, ratio=ratio, mutual=mutual)
        xy1, xy0 = points1.xy[pairs[:, 0]], points0.xy[pairs[:, 1]]
        fitted = fit_similarity(xy1, xy0, reach)
        if fitted is None:
            continue
        similarity, agree = fitted
        support = _places(xy0[agree], reach)
        if support > best[0] and 1 / _NETWORK_SCALE < similarity.scale < _NETWORK_SCALE:
            back = np.linalg.inv(to_still)
            best = support, back @ similarity.matrix @ to_turned
    support, matrix = best
    if support < _LEAST_NETWORK:
        return []
    transform = Similarity(matrix).between(fixed, moving)
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


def _turned(photo: Photo, turn_deg: float) -> tuple[Photo, np.ndarray]:
    """Turn a photograph about the middle of its picture, at half the working size.

    Returns:
        The turned picture in a square, as a photograph of its own, and the matrix
        `[3, 3]` from the working image to it.
    """
    whole = photo.image.shape[0]
    side = whole // 2 // 16 * 16
    height, width = photo.size
    middle = 0.5 * (width - 1), 0.5 * (height - 1)
    matrix = cv2.getRotationMatrix2D(middle, turn_deg, side / whole)
    matrix[:, 2] += 0.5 * (side - 1) - np.array(middle)
    smooth = cv2.GaussianBlur(photo.image, (0, 0), 0.5 * whole / side)
    square = (side, side)
    field = cv2.warpAffine(
        photo.field.astype(np.uint8), matrix, square, flags=cv2.INTER_NEAREST
    )
    turned = dataclasses.replace(
        photo,
        image=cv2.warpAffine(smooth, matrix, square),
        size=square,
        box=(0, 0, *square),
        file_size=square,
        field=field > 0,
    )
    return turned, np.vstack([matrix, [0.0, 0.0, 1.0]])


def _places(points: np.ndarray, reach_px: float) -> int:
    """Count points that are not the same place seen again at another scale."""
    return len(np.unique(np.round(points / reach_px), axis=0))

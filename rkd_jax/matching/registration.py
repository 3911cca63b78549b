"""The result of registering a pair, and the judgement whether to believe it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np

from rkd_jax.matching.fit import Fit, residuals
from rkd_jax.matching.matches import Matches
from rkd_jax.matching.transforms import Transform

_SUPPORT_PX = 4.0  # a match within this distance supports the transform (working px)
_MIN_SUPPORT = 15  # matches; 2 % of all matches come on top
_MIN_COVERAGE_FRAC = 0.03  # of the overlap, by the hull of the supporting points
_MAX_SCALE = 3.0  # largest magnification or reduction between the two images
_MAX_STRETCH = 2.0  # largest ratio of the two local magnifications


@dataclasses.dataclass(frozen=True, eq=False)
class Registration:
    """What is known about a pair after matching and fitting.

    Attributes:
        ok: whether the pair may be taken as registered.
        reason: why not; empty if `ok`.
        transform: moving to fixed, in file pixels; None if nothing could be
            fitted. A doubtful pair (`ok` False) may still have one.
        matches: all matches that went into the fit.
        inliers: `[M]` bool, the matches that the estimator kept.
        confidence: 0 to 1, see `judge`.
        evidence: the numbers behind the judgement.
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
    """

    ok: bool
    reason: str
    transform: Transform | None
    matches: Matches
    inliers: np.ndarray
    confidence: float
    evidence: dict[str, float]
    fixed_size: tuple[int, int]
    moving_size: tuple[int, int]

    def _trusted(self) -> Transform:
        if not self.ok or self.transform is None:
            raise ValueError(
                f"the pair is not registered: {self.reason}; look at `.matches`, or "
                "use `.transform` (if there is one) at your own risk"
            )
        return self.transform

    def warp_points(self, points: np.ndarray) -> np.ndarray:
        """Map points `[..., 2]` (x, y) of the moving file to the fixed file.

        Raises:
            ValueError: if the pair is not registered.
        """
        return self._trusted().apply(points)

    def warp_image(self, image: Any, *, interpolation: str = "linear") -> np.ndarray:
        """Draw the moving image in the fixed frame, zeros where it does not reach.

        Args:
            image: the moving image, or another of its size (a label map with
                `interpolation="nearest"`): path or array.
            interpolation: "nearest", "linear" or "cubic".

        Returns:
            `[H, W(, C)]` of the fixed image's size, with the dtype of `image`.

        Raises:
            ValueError: if the pair is not registered or the size is another.
        """
        from rkd_jax.data.preprocess import read_image

        transform = self._trusted()
        array = image if isinstance(image, np.ndarray) else read_image(image)
        if array.shape[:2] != tuple(self.moving_size):
            raise ValueError(
                f"image: expected height and width {tuple(self.moving_size)} of the "
                f"moving image, found {array.shape[:2]}"
            )
        return transform.warp(array, self.fixed_size, interpolation=interpolation)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready summary without the matches."""
        return {
            "ok": self.ok,
            "reason": self.reason,
            "confidence": round(self.confidence, 4),
            "transform": None if self.transform is None else self.transform.to_dict(),
            "matches": len(self.matches),
            "inliers": int(self.inliers.sum()),
            "evidence": {
                name: round(value, 4) if math.isfinite(value) else None
                for name, value in self.evidence.items()
            },
            "fixed_size": list(self.fixed_size),
            "moving_size": list(self.moving_size),
        }


def _jacobians(transform: Transform, points: np.ndarray) -> np.ndarray:
    """Return the 2x2 derivatives at points `[N, 2]` by central differences."""
    step = 0.5
    columns = []
    for axis in np.eye(2):
        ahead = transform.apply(points + step * axis)
        columns.append((ahead - transform.apply(points - step * axis)) / (2 * step))
    return np.stack(columns, axis=-1)


def _implausible(
    transform: Transform, points: np.ndarray, relative_scale: float
) -> str:
    """Return what is wrong with the local shape at points `[N, 2]`, or nothing."""
    jacobians = _jacobians(transform, points) * relative_scale
    if not np.all(np.isfinite(jacobians)):
        return "the transform tears the image"
    if np.any(np.linalg.det(jacobians) <= 0):
        return "the transform mirrors or folds the image"
    magnifications = np.linalg.svd(jacobians, compute_uv=False)
    if magnifications.max() > _MAX_SCALE or magnifications.min() < 1 / _MAX_SCALE:
        return f"the transform scales by more than {_MAX_SCALE:g}"
    if np.any(magnifications[:, 0] > _MAX_STRETCH * magnifications[:, 1]):
        return "the transform shears the image"
    return ""


def _box_corners(points: np.ndarray) -> np.ndarray:
    """Return the corners of the bounding box of points `[N, 2]`, in order."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _frame(size: tuple[int, int]) -> np.ndarray:
    """Return the corner pixels of an image of (height, width)."""
    return _box_corners(np.array([[0.0, 0.0], [size[1] - 1.0, size[0] - 1.0]]))


def _coverage(
    transform: Transform,
    support_fixed: np.ndarray,
    fixed_size: tuple[int, int],
    moving_size: tuple[int, int],
) -> float:
    """Return the share of the overlap inside the hull of the supporting points."""
    hull = cv2.convexHull(support_fixed.astype(np.float32))
    moved = transform.apply(_frame(moving_size))
    if not np.all(np.isfinite(moved)):
        return 0.0
    moved = cv2.convexHull(moved.astype(np.float32))
    frame = _frame(fixed_size).astype(np.float32)[:, None]
    overlap, _ = cv2.intersectConvexConvex(frame, moved)
    return float(cv2.contourArea(hull) / overlap) if overlap > 1.0 else 0.0


def judge(
    fit: Fit,
    matches: Matches,
    *,
    free: Matches | None = None,
    fixed_size: tuple[int, int],
    moving_size: tuple[int, int],
    fixed_scale: float,
    moving_scale: float,
) -> Registration:
    """Decide whether to believe a fit.

    A fit of random matches also has a matrix and a few inliers. It is believed only
    if, with distances in pixels of the working size,

    - at least 15 matches, plus 2 % of all, lie within 4 px (the support);
    - the hull of the support covers at least 3 % of the overlap of the two frames;
    - at the corners of the support the transform keeps the orientation, scales by
      less than 3 and stretches one axis by less than 2 against the other, and so
      does its projective part at the corners of the whole moving image.

    The confidence rises with the support n, the coverage c and the share r of
    matches that are support, and falls with the median distance e of the support:
    `(1 - exp(-(n - 8) / 20)) min(1, c / 0.15) min(1, r / 0.2) exp(-e / 8)`, and is
    0 for an implausible transform. It orders pairs; it is not a probability.

    Args:
        fit: result of `rkd_jax.matching.fit.fit`.
        matches: the points that were fitted.
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
        fixed_scale: working pixels to one pixel of the fixed file.
        moving_scale: working pixels to one pixel of the moving file.
    """
    evidence = {"support": 0.0, "support_ratio": 0.0, "inlier_ratio": 0.0}
    confidence, reason = 0.0, fit.reason
    if fit.transform is not None:
        distance = fixed_scale * residuals(
            fit.transform, matches.points_moving, matches.points_fixed
        )
        support = distance <= _SUPPORT_PX
        count, ratio = int(support.sum()), float(support.mean())
        needed = _MIN_SUPPORT + 0.02 * len(matches)
        coverage, error = 0.0, math.inf
        reason = ""
        if count >= 4:
            error = float(np.median(distance[support]))
            supporting = matches.points_moving[support]
            relative = fixed_scale / moving_scale
            reason = _implausible(fit.transform, _box_corners(supporting), relative)
            projective = fit.transform.projective()
            reason = reason or _implausible(projective, _frame(moving_size), relative)
            coverage = _coverage(
                fit.transform, matches.points_fixed[support], fixed_size, moving_size
            )
            if not reason:
                confidence = _confidence(count, coverage, ratio, error)
        if count < needed:
            reason = f"{count} matches agree, at least {math.ceil(needed)} must"
        elif not reason and coverage < _MIN_COVERAGE_FRAC:
            reason = (
                f"the matches that agree cover {coverage:.1%} of the overlap, at "
                f"least {_MIN_COVERAGE_FRAC:.0%} must be"
            )
        evidence = {
            "support": float(count),
            "support_ratio": ratio,
            "support_error_px": error,
            "coverage": coverage,
            "inlier_ratio": float(fit.inliers.mean()),
        }
    return Registration(
        ok=fit.transform is not None and not reason,
        reason=reason,
        transform=fit.transform,
        matches=matches,
        inliers=fit.inliers,
        confidence=confidence,
        evidence=evidence,
        fixed_size=tuple(fixed_size),
        moving_size=tuple(moving_size),
    )


def _confidence(count: int, coverage: float, ratio: float, error: float) -> float:
    """Return the confidence that `judge` documents."""
    by_count = 1.0 - math.exp(-max(0.0, count - 8.0) / 20.0)
    by_place = min(1.0, coverage / 0.15) * min(1.0, ratio / 0.2)
    return by_count * by_place * math.exp(-error / 8.0)

"""The input and the result of fitting a family: `Problem` and `Fit`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.transforms import Frame, Transform


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """A fitted transform, or the reason why there is none.

    Attributes:
        transform: moving to fixed; None if nothing could be fitted.
        inliers: `[M]` bool, the pairs that the estimator kept.
        reason: empty on success.
        threshold_px: inlier distance in the fixed image; NaN of a family's own result.
    """

    transform: Transform | None
    inliers: np.ndarray
    reason: str = ""
    threshold_px: float = math.nan


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """Finite point pairs that fix a homography, and how to fit them.

    Attributes:
        moving: `[N, 2]` float64.
        fixed: `[N, 2]` float64.
        frames: fields of the moving and the fixed image; None where unknown.
        estimator: key of `fitting.fit.ESTIMATORS`, for the first estimate.
        threshold_px: inlier distance in the fixed image.
        curvature: what is known of k.
        start: a transform near the result, which replaces the first estimate.
        near: whether the start was fitted to nearly the same pairs: then one round of
            refinement is enough.
    """

    moving: np.ndarray
    fixed: np.ndarray
    frames: tuple[Frame, Frame] | None
    estimator: str
    threshold_px: float
    curvature: Curvature
    start: Transform | None = None
    near: bool = False

    def subset(self, chosen: np.ndarray, start: Transform) -> Problem:
        """Return the problem of some of the pairs, started from the fit of all."""
        return dataclasses.replace(
            self,
            moving=self.moving[chosen],
            fixed=self.fixed[chosen],
            start=start,
            near=True,
        )


def residuals(
    transform: Transform, points_moving: np.ndarray, points_fixed: np.ndarray
) -> np.ndarray:
    """Return distances `[M]` in the fixed image; infinite where undefined."""
    error = transform.apply(points_moving) - np.asarray(points_fixed, np.float64)
    distance = np.hypot(error[..., 0], error[..., 1])
    return np.where(np.isfinite(distance), distance, np.inf)

"""The result of registering a pair."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from rkd_jax.registration.approximation import best_matrix
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.mapped import Mapped, convex_hull
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Frame, Transform


@dataclasses.dataclass(frozen=True, eq=False)
class Registration(Mapped):
    """What is known about a pair after matching and fitting.

    Attributes:
        ok: whether the pair may be taken as registered.
        reason: why not; empty if `ok`.
        transform: moving to fixed, in file pixels; None if nothing could be
            fitted. A doubtful pair (`ok` False) may still have one.
        matches: all matches that went into the fit.
        inliers: `[M]` bool, the matches that the estimator kept.
        confidence: 0 to 1, see `rkd_jax.registration.verdict.judge`.
        evidence: the numbers behind the judgement.
        fixed_size: (height, width) of the fixed file.
        moving_size: (height, width) of the moving file.
        frames: where the camera's field lies in the moving and in the fixed file, with
            the narrower one's radius for both where the search found the pair
            (`rkd_jax.registration.transforms.frame.common_frames`); None if unknown.
        threshold_px: inlier distance in the fixed file.
        scale: pixels of a 768-pixel working image, in which the evidence is, to one of
            the fixed file.
        error_map: by how many pixels the transform may be off; None unless `ok`.
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
    frames: tuple[Frame, Frame] | None = None
    threshold_px: float = math.nan
    scale: float = math.nan
    error_map: ErrorMap | None = None

    @property
    def hull(self) -> np.ndarray | None:
        return convex_hull(self.matches.points_moving[self.inliers])

    def to_dict(self) -> dict[str, Any]:
        """Return a summary ready for JSON, without the matches.

        `docs/transform_file.md` describes the keys.
        """
        matrix, hull, errors = best_matrix(self), self.hull, self.error_map
        return {
            "ok": self.ok,
            "reason": self.reason,
            "confidence": round(self.confidence, 4),
            "fixed_size": list(self.fixed_size),
            "moving_size": list(self.moving_size),
            "transform": None if self.transform is None else self.transform.to_dict(),
            "matrix": None if matrix is None else matrix.matrix.tolist(),
            "matrix_residual_px": None if matrix is None else matrix.residual(),
            "supported_area": None if hull is None else _shortest(hull),
            "expected_error": None
            if errors is None
            else {**errors.summary(), "map": errors.to_dict()},
            "matches": len(self.matches),
            "inliers": int(self.inliers.sum()),
            "evidence": {
                name: round(value, 4) if math.isfinite(value) else None
                for name, value in self.evidence.items()
            },
        }


def _shortest(points: np.ndarray) -> list[list[float]]:
    """Return float32 as the shortest numbers that are read back as the same."""
    return [[float(str(value)) for value in row] for row in points]

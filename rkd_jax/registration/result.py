"""The result of registering a pair."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Frame, Transform


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

    def _trusted(self) -> Transform:
        if not self.ok or self.transform is None:
            raise ValueError(
                f"the pair is not registered: {self.reason}; see `.matches`, or "
                "use `.transform` (if there is one) at your own risk"
            )
        return self.transform

    def warp_points(self, points: npt.ArrayLike) -> np.ndarray:
        """Map points `[..., 2]` (x, y) of the moving file to the fixed file.

        Raises:
            ValueError: if the pair is not registered.
        """
        return self._trusted().apply(points)

    def expected_error(self, points: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Return by how many pixels of the fixed file mapped points may be off.

        Args:
            points: `[..., 2]` (x, y) in pixels of the moving file.

        Returns:
            The expected (median) error, and a bound that holds in nine cases of ten,
            `[...]` each; NaN where nothing supports the transform.

        Raises:
            ValueError: if the pair is not registered.
        """
        mapped = self._trusted().apply(points)
        if self.error_map is None:
            unknown = np.full(mapped.shape[:-1], np.nan)
            return unknown, unknown.copy()
        return self.error_map.at(mapped)

    def supports(self, points: npt.ArrayLike) -> np.ndarray:
        """Return which points `[N, 2]` of the moving file lie among the inliers.

        Beyond the hull of the inliers a transform is a guess that no match confirms.

        Returns:
            `[N]` bool.
        """
        kept = self.matches.points_moving[self.inliers].astype(np.float32)
        if len(kept) < 3:
            return np.zeros(len(points), bool)
        hull = cv2.convexHull(kept)
        return np.array(
            [
                cv2.pointPolygonTest(hull, (float(x), float(y)), False) >= 0
                for x, y in np.asarray(points)
            ],
            bool,
        )

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
        from rkd_jax.images.prepare import read_image

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

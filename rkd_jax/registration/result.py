"""The result of registering a pair, and the judgement whether to believe it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rkd_jax.registration.fitting.fit import Fit
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.transforms import Frame, Transform
from rkd_jax.registration.verdict.confidence import ConfidenceModel, packaged_model
from rkd_jax.registration.verdict.evidence import Sizes, implausible

_MIN_SUPPORT = 8  # matches; four of them fit any homography
_MIN_COVERAGE_FRAC = 0.03  # of the overlap, by the hull of the supporting points
_MAX_NEAR_ERROR_PX = 2.5  # points strewn at random within 4 px lie 2.8 px off
_CHANCE_DEVIATIONS = 2.0  # of a count: a smaller surplus may be chance
_MIN_CONFIDENCE = 0.5


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
        frames: where the camera's field lies in the moving and in the fixed file, with
            the narrower one's radius for both where the search found the pair
            (`rkd_jax.registration.search.rectify.frames_of`); None if nobody looked.
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

    def _trusted(self) -> Transform:
        if not self.ok or self.transform is None:
            raise ValueError(
                f"the pair is not registered: {self.reason}; look at `.matches`, or "
                "use `.transform` (if there is one) at your own risk"
            )
        return self.transform

    def warp_points(self, points: npt.ArrayLike) -> np.ndarray:
        """Map points `[..., 2]` (x, y) of the moving file to the fixed file.

        Raises:
            ValueError: if the pair is not registered.
        """
        return self._trusted().apply(points)

    def supports(self, points: npt.ArrayLike) -> np.ndarray:
        """Tell which points `[N, 2]` of the moving file lie among the inliers.

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


def judge(
    fit: Fit,
    matches: Matches,
    evidence: Mapping[str, float],
    sizes: Sizes,
    *,
    frames: tuple[Frame, Frame] | None = None,
    model: ConfidenceModel | None = None,
) -> Registration:
    """Decide whether to believe a fit.

    A fit of random matches also has a matrix and a few inliers. It is believed only if

    - at least 8 of the matches by descriptors alone lie within 4 px (all pixels are of
      a 768-pixel working image);
    - the hull of these covers at least 3 % of the overlap of both frames;
    - the median distance of the matches found near it is at most 2.5 px, and there are
      more of them than chance gives, by two standard deviations of a count;
    - where it is supported, and wherever both fields show the eye, it keeps the
      orientation, scales by less than 3 and stretches one axis by less than 2 against
      the other, and so does its projective part at the corners of the moving image
      (scales are those of the working images: photographs that the search has brought
      to one scale, `rkd_jax.registration.search.rectify`, are judged at that one);
    - its confidence is at least one half.

    The confidence is the probability that the registration is right, by a logistic
    model of the evidence: number and share of the supporting matches, matches found
    near it against those found beside it, their distance, coverage, and how well a fit
    in the other direction agrees (`verdict.confidence`). An implausible
    transform has confidence 0.

    Args:
        fit: result of `fitting.fit.fit`.
        matches: the points that were fitted.
        evidence: what `verdict.evidence.gather` measured of the fit; empty
            without a transform.
        sizes: of both files.
        frames: fields of the moving and the fixed file; None does not look there.
        model: None takes the packaged one.
    """
    confidence, reason = 0.0, fit.reason
    if fit.transform is not None:
        model = packaged_model() if model is None else model
        supporting = matches.points_moving[fit.inliers]
        if len(supporting) < 4:
            supporting = matches.points_moving
        reason = implausible(fit.transform, supporting, sizes, frames)
        if not reason:
            confidence = model.probability(evidence)
            reason = _doubt(evidence, confidence)
    share = float(fit.inliers.mean()) if len(fit.inliers) else 0.0
    return Registration(
        ok=fit.transform is not None and not reason,
        reason=reason,
        transform=fit.transform,
        matches=matches,
        inliers=fit.inliers,
        confidence=confidence,
        evidence={**evidence, "inlier_ratio": share},
        fixed_size=tuple(sizes.fixed),
        moving_size=tuple(sizes.moving),
        frames=frames,
    )


def _doubt(evidence: Mapping[str, float], confidence: float) -> str:
    """Return which evidence is missing, or nothing."""
    count = int(evidence["support"])
    if count < _MIN_SUPPORT:
        return f"{count} matches agree, at least {_MIN_SUPPORT} must"
    covered, off = evidence["coverage"], evidence["near_error_px"]
    if covered < _MIN_COVERAGE_FRAC:
        return (
            f"the matches that agree cover {covered:.1%} of the overlap, at least "
            f"{_MIN_COVERAGE_FRAC:.0%} must be"
        )
    if off > _MAX_NEAR_ERROR_PX:
        return (
            f"similar points lie {off:.1f} px from where they should, at most "
            f"{_MAX_NEAR_ERROR_PX:g} px is allowed"
        )
    near, chance = evidence["near"], evidence["near_by_chance"]
    if near - chance <= _CHANCE_DEVIATIONS * math.sqrt(chance + 1.0):
        return (
            f"{near:.0f} similar points lie where they should against {chance:.0f} by "
            "chance: too few more"
        )
    if confidence < _MIN_CONFIDENCE:
        return (
            f"the evidence is weak (confidence {confidence:.2f}): {count} matches "
            f"agree, {near:.0f} lie where they should against {chance:.0f} by chance, "
            f"there and back is off by {evidence['asymmetry_px']:.1f} px"
        )
    return ""

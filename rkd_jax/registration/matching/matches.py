"""Matched points of a pair, found freely and found again near a known transform."""

from __future__ import annotations

import dataclasses

import numpy as np

from rkd_jax.images.prepare import Resized
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.nearest import GuidedMatcher, match_keypoints
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.transforms import Frame, Transform

_TEACHERS = 20  # matches from which to learn how alike true ones are
_UNUSUAL_PERCENT = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Matched points in pixels of the two files.

    Attributes:
        points_fixed: `[M, 2]` float64 (x, y).
        points_moving: `[M, 2]` float64 (x, y).
        similarity: `[M]` float32, cosine of the descriptors.
    """

    points_fixed: np.ndarray
    points_moving: np.ndarray
    similarity: np.ndarray

    def __len__(self) -> int:
        return len(self.points_fixed)

    def subset(self, kept: np.ndarray) -> Matches:
        """Return the matches that a mask `[M]` keeps."""
        return Matches(
            self.points_fixed[kept], self.points_moving[kept], self.similarity[kept]
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """The keypoints of one photograph and where they lie in its file.

    Attributes:
        prepared: the image at the working size and the way back to file pixels.
        keypoints: in working pixels, K rows.
        xy: `[K, 2]` float64 in file pixels; NaN where that is undefined.
        field: the camera's field in the same pixels.
        frame: the unit of the photograph's bend: its field, or the other photograph's
            where that is much narrower (`search.rectify.frames_of`).
    """

    prepared: Resized
    keypoints: Keypoints
    xy: np.ndarray
    field: Frame
    frame: Frame

    @property
    def scale(self) -> float:
        """Working pixels to one pixel of the file."""
        return float(np.mean(self.prepared.scale))


class Pair:
    """Matches the keypoints of one pair.

    Args:
        fixed: keypoints of the fixed image.
        moving: keypoints of the moving image.
        options: ratio, mutual check, similarity.
    """

    def __init__(self, fixed: Placed, moving: Placed, options: MatcherOptions) -> None:
        self.fixed, self.moving, self.options = fixed, moving, options
        self._least = options.min_similarity
        self._guide: GuidedMatcher | None = None

    def _matches(self, pairs: np.ndarray, similarity: np.ndarray) -> Matches:
        found = Matches(
            self.fixed.xy[pairs[:, 1]], self.moving.xy[pairs[:, 0]], similarity
        )
        return found.subset(np.isfinite(found.points_moving).all(axis=1))

    @property
    def unit(self) -> float:
        """Working pixels to one of a 768-pixel working image."""
        return self.fixed.prepared.image.shape[0] / 768.0

    def match(self) -> Matches:
        """Match by descriptors alone."""
        # Upstream looks from the moving (query) image into the fixed one.
        pairs, similarity = match_keypoints(
            self.moving.keypoints,
            self.fixed.keypoints,
            ratio=self.options.ratio,
            mutual=self.options.mutual,
            separation=self.options.separation,
        )
        return self._matches(pairs, similarity)

    def calibrate_similarity(self, similarity: np.ndarray) -> None:
        """Learn from matches that support a fit how alike true ones are.

        Networks differ: with one, two views of a spot have a cosine of .9, with
        another .4. `match_near` uses the similarity that all but 2 % of these matches
        reach, where that is less than `options.min_similarity`; with fewer than 20
        matches the option.
        """
        self._least = self.options.min_similarity
        if len(similarity) >= _TEACHERS:
            usual = float(np.percentile(similarity, _UNUSUAL_PERCENT))
            self._least = min(self._least, usual)

    def match_near(
        self,
        transform: Transform,
        radius_px: float,
        *,
        shift_px: tuple[float, float] = (0.0, 0.0),
    ) -> Matches:
        """Match moving keypoints to fixed ones near where the transform puts them.

        Args:
            transform: from the moving to the fixed file.
            radius_px: in working pixels of the fixed image.
            shift_px: look this far beside, in working pixels (for counting how many
                matches chance alone gives).
        """
        if self._guide is None:
            self._guide = GuidedMatcher(self.moving.keypoints, self.fixed.keypoints)
        mapped = self.fixed.prepared.from_file(transform.apply(self.moving.xy))
        pairs, similarity = self._guide(
            mapped + np.asarray(shift_px),
            radius=radius_px,
            min_similarity=self._least,
        )
        return self._matches(pairs, similarity)

"""Two photographs to be matched: freely, or near where a transform puts the points."""

from __future__ import annotations

import numpy as np

from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.matching.nearest import GuidedMatcher, match_keypoints
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo
from rkd_jax.registration.transforms import Frame, Transform
from rkd_jax.registration.transforms.frame import common_frames

_LEAST_SUPPORT = 20  # matches from which the similarity of true matches is estimated
_UNUSUAL_PERCENT = 2.0


class Pair:
    """Two photographs with keypoints, ready to be matched.

    Args:
        fixed: the photograph whose frame is kept.
        moving: the photograph that is mapped to it. Its keypoints may have been found
            in a copy drawn in the fixed frame; only their places in the file count.
        options: ratio, mutual check, similarity.
        scale: pixels of the fixed file to one of the moving file where the search
            brought parts of both to one scale (`search.rectify`); None: each is as its
            camera took it, at its own working scale.

    Attributes:
        frames: the units of radial distortion in the moving and in the fixed file.
        fixed_scale: pixels of a 768-pixel working image to one of the fixed file.
        moving_scale: such pixels to one of the moving file. Evidence is in these
            pixels, so that a limit or a confidence is the same at each working size.
        fixed_part: box (x0, y0, x1, y1; x1, y1 exclusive) of the fixed file in use: all
            of it, or what the search cut out.
    """

    def __init__(
        self,
        fixed: Photo,
        moving: Photo,
        options: MatcherOptions,
        *,
        scale: float | None = None,
    ) -> None:
        self.fixed, self.moving, self.options = fixed, moving, options
        self.fixed_scale = fixed.mean_scale / fixed.unit
        if scale is None:
            self.frames: tuple[Frame, Frame] = (moving.frame, fixed.frame)
            self.moving_scale = moving.mean_scale / fixed.unit
            self.fixed_part, self._moving_part = (
                (0, 0, *photo.file_size[::-1]) for photo in (fixed, moving)
            )
        else:
            self.frames = common_frames(moving.frame, fixed.frame, scale)
            self.moving_scale = self.fixed_scale * scale
            self.fixed_part, self._moving_part = fixed.box, moving.box
        self._least = options.min_similarity
        self._guide: GuidedMatcher | None = None

    @property
    def unit(self) -> float:
        """Working pixels to one of a 768-pixel working image."""
        return self.fixed.unit

    def moving_corners(self) -> np.ndarray:
        """Return the corner pixels `[4, 2]` of the part of the moving file in use."""
        x0, y0, x1, y1 = self._moving_part
        x1, y1 = x1 - 1.0, y1 - 1.0
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)

    def _matches(self, rows: np.ndarray, similarity: np.ndarray) -> Matches:
        found = Matches(
            self.fixed.xy[rows[:, 1]], self.moving.xy[rows[:, 0]], similarity
        )
        return found.subset(np.isfinite(found.points_moving).all(axis=1))

    def match(self) -> Matches:
        """Match by descriptors alone."""
        # As upstream: from the moving (query) image to the fixed one.
        rows, similarity = match_keypoints(
            self.moving.keypoints,
            self.fixed.keypoints,
            ratio=self.options.ratio,
            mutual=self.options.mutual,
            separation=self.options.separation,
        )
        return self._matches(rows, similarity)

    def calibrate_similarity(self, similarity: np.ndarray) -> None:
        """Set how similar a match of `match_near` must be.

        Networks differ: with one, two views of a spot have a cosine of .9, with another
        .4. The least similarity becomes what all but 2 % of these matches reach, where
        that is less than `options.min_similarity`. Fewer than 20 matches leave the
        option as it is.

        Args:
            similarity: `[M]` of matches that support a fit.
        """
        self._least = self.options.min_similarity
        if len(similarity) >= _LEAST_SUPPORT:
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
            shift_px: search this far beside, in working pixels (to count the matches
                that chance alone gives).
        """
        if self._guide is None:
            self._guide = GuidedMatcher(self.moving.keypoints, self.fixed.keypoints)
        mapped = self.fixed.from_file(transform.apply(self.moving.xy))
        rows, similarity = self._guide(
            mapped + np.asarray(shift_px),
            radius=radius_px,
            min_similarity=self._least,
        )
        return self._matches(rows, similarity)

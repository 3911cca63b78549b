"""Settings of detection and matching, with the FIRE papers' protocol by name."""

from __future__ import annotations

import dataclasses

from rkd_jax.keypoints import SUPPRESSIONS

POINTS = ("detector", "detector+dog")


@dataclasses.dataclass(frozen=True)
class MatcherOptions:
    """How a matcher finds and matches keypoints. Distances are in working pixels.

    Attributes:
        working_size: the longer side is brought to this; None takes what the
            weights were trained for.
        tile: run the network in tiles of this side (a multiple of 16), with the same
            result, so that a large working size fits into memory; None: whole images.
            Networks with instance norm cannot (`rkd_jax.models.tiles`).
        resize_mode: "fit" keeps the aspect, "stretch" makes a square of any image.
        crop_field: cut the black margin around the camera's field first.
        quantize: go through 8 bits before resizing, as the published inference.
        mask_field: drop keypoints on the black margin and on its rim.
        max_keypoints: the best so many by score.
        points: where a network's descriptors are read: "detector" (its own keypoints)
            or "detector+dog" (and at SIFT's, which are more and finer placed).
        max_dog: at most so many of SIFT's points.
        threshold: scores strictly above this count.
        nms_radius: no two keypoints are nearer than this.
        nms_method: "one_round" (deterministic ties) or "two_round" (SuperPoint's).
        border: margin without keypoints.
        subpixel: refine keypoints by a parabola.
        ratio: keep a match if it is this much nearer than the second best; None
            turns the test off.
        mutual: keep a match only if each is the other's nearest.
        separation: points nearer than this to the best match are no second best.
        min_similarity: least cosine of a match found again near where the transform
            expects it; less where a network's true matches are less alike
            (`rkd_jax.registration.matching.matches.PairMatcher.learn_similarity`).
        threshold_px: inlier distance of the estimator.
        align: after guided matching move the points to where the images around them
            agree (`rkd_jax.registration.matching.refine`).
        search: try other turns and scales where a pair is not believed as it was taken
            (`rkd_jax.registration.search.propose`).
        truncate_points: drop the fraction of keypoints in file pixels, and place
            them without the half-pixel rule, as the published evaluation does. It
            costs up to a pixel; for parity only.
        second_pass_decides: of two passes the second stands whatever it gives, as in
            the published evaluation; by default the first where the second fails.

    Example:
        >>> MatcherOptions.paper().ratio
        0.9
        >>> MatcherOptions(nms_radius=4, subpixel=False).nms_radius
        4
    """

    working_size: int | None = None
    tile: int | None = None
    resize_mode: str = "fit"
    crop_field: bool = True
    quantize: bool = False
    mask_field: bool = True
    max_keypoints: int = 2048
    points: str = "detector+dog"
    max_dog: int = 3000
    threshold: float = 0.01
    nms_radius: int = 6
    nms_method: str = "one_round"
    border: int = 8
    subpixel: bool = True
    ratio: float | None = 0.95
    mutual: bool = True
    separation: float = 0.0
    min_similarity: float = 0.5
    threshold_px: float = 3.0
    align: bool = True
    search: bool = True
    truncate_points: bool = False
    second_pass_decides: bool = False

    def __post_init__(self) -> None:
        checks = {
            "working_size": self.working_size is None or self.working_size >= 32,
            "tile": self.tile is None or (self.tile >= 16 and self.tile % 16 == 0),
            "resize_mode": self.resize_mode in ("fit", "stretch"),
            "max_keypoints": self.max_keypoints >= 1,
            "points": self.points in POINTS,
            "max_dog": self.max_dog >= 1,
            "threshold": self.threshold >= 0,
            "nms_radius": self.nms_radius >= 0,
            "nms_method": self.nms_method in SUPPRESSIONS,
            "border": self.border >= 0,
            "ratio": self.ratio is None or 0 < self.ratio <= 1,
            "separation": self.separation >= 0,
            "min_similarity": -1 <= self.min_similarity <= 1,
            "threshold_px": self.threshold_px > 0,
        }
        for name, good in checks.items():
            if not good:
                raise ValueError(
                    f"MatcherOptions.{name}: {getattr(self, name)!r} is out of range; "
                    "see the class's documentation"
                )

    @classmethod
    def paper(cls, **changes: object) -> MatcherOptions:
        """Return the protocol of the FIRE papers, to compare numbers with them.

        Radius 10, score above 0.01, border 4, no limit that bites, 768 x 768 by
        stretching, 8-bit images, ratio 0.9 without a mutual check. Fit it with a
        homography by least median of squares. Upstream also truncates the points:
        `MatcherOptions.paper(truncate_points=True)`.

        Source: docs/paper/specification.md §7.
        """
        protocol = {
            "resize_mode": "stretch",
            "crop_field": False,
            "quantize": True,
            "mask_field": False,
            "max_keypoints": 4096,
            "points": "detector",
            "threshold": 0.01,
            "nms_radius": 10,
            "nms_method": "two_round",
            "border": 4,
            "subpixel": False,
            "ratio": 0.9,
            "mutual": False,
            "align": False,
            "search": False,
            "second_pass_decides": True,
        }
        return cls(**{**protocol, **changes})

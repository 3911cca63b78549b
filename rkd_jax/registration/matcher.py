"""From two photographs to a registration: photo, match, fit, judge.

`register_pair` -> `Matcher.register` -> `encoder` (a photograph is read, prepared and
encoded once) -> `matching.pair.Pair` (match) -> `matching.guided.fit_pair` (fit) ->
`verdict` (judge). A pair that is not accepted goes through `search`.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.encoder import Detector, Encoder
from rkd_jax.registration.expected_error.estimate import estimate_errors, problem_of
from rkd_jax.registration.expected_error.model import error_model_digest
from rkd_jax.registration.families import AUTO
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matching.guided import fit_pair
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo, Source
from rkd_jax.registration.result import Registration
from rkd_jax.registration.search.attempts import search, tried
from rkd_jax.registration.verdict.confidence import model_digest
from rkd_jax.registration.verdict.evidence import gather
from rkd_jax.registration.verdict.judge import judge
from rkd_jax.version import __version__

if TYPE_CHECKING:
    from rkd_jax.weights import Weights


@dataclasses.dataclass(frozen=True)
class _Method:
    """How a transform is fitted: the arguments of `Matcher.register`."""

    transform: str
    estimator: str
    guided: bool
    curvature: Curvature | None


class Matcher:
    """Registers photographs by the keypoints of a detector; see `load_matcher`.

    Args:
        detector: finds the keypoints.
        options: settings.

    Example:
        >>> matcher = load_matcher(method="sift", working_size=64)
        >>> eye = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
        >>> matcher.photo(eye).keypoints.descriptors.shape
        (4000, 128)
    """

    def __init__(self, detector: Detector, options: MatcherOptions) -> None:
        self.detector, self.options = detector, options
        self.working_size = detector.working_size
        self._encoder = Encoder(detector, options)

    def settings(self) -> dict[str, Any]:
        """Return all that a result depends on, ready for JSON."""
        return {
            **self.detector.settings(),
            **dataclasses.asdict(self.options),
            "working_size": self.working_size,
            "confidence_sha256": model_digest(),
            "error_model_sha256": error_model_digest(),
            "version": __version__,
        }

    def photo(self, source: Source | Photo) -> Photo:
        """Read and prepare a photograph, and find its keypoints.

        Args:
            source: path, encoded bytes or array; a `Photo` is returned as it is.

        Raises:
            FileNotFoundError, TypeError, ValueError: the image cannot be used.
        """
        (photo,) = self.photos([source])
        return photo

    def photos(self, sources: Sequence[Source | Photo]) -> list[Photo]:
        """Do the same for several photographs; no result depends on the others."""
        return self._encoder.photos(sources)

    def detect(self, image: Source | Photo) -> Keypoints:
        """Find keypoints, in pixels of the user's file.

        Args:
            image: path or array (grey or RGB, uint8, uint16 or float).

        Returns:
            Keypoints with NumPy arrays; `xy [K, 2]` float32, zero where masked out.
        """
        photo = self.photo(image)
        xy, mask = photo.xy.astype(np.float32), photo.keypoints.mask
        return photo.keypoints.replace(xy=np.where(mask[:, None], xy, np.float32(0)))

    def _attempt(self, pair: Pair, method: _Method) -> Registration:
        """Match, fit and judge a pair."""
        free = pair.match()
        fit, matches = fit_pair(
            pair,
            free,
            family=method.transform,
            estimator=method.estimator,
            guided=method.guided,
            curvature=method.curvature,
        )
        evidence: dict[str, float] = {}
        if fit.transform is not None:
            evidence = gather(
                fit.transform,
                free,
                pair,
                estimator=method.estimator,
                curvature=method.curvature,
            )
        found = judge(fit, matches, evidence, pair)
        if not found.ok:
            return found
        problem = problem_of(found, method.estimator, method.curvature)
        chosen = method.transform == AUTO
        errors = estimate_errors(found, problem, pair, chosen=chosen)
        return dataclasses.replace(found, error_map=errors)

    def _as_taken(self, fixed: Photo, moving: Photo, method: _Method) -> Registration:
        """Register two photographs as the cameras took them."""
        return self._attempt(Pair(fixed, moving, self.options), method)

    def _second_pass(
        self, fixed: Photo, moving: Photo, method: _Method, first: Registration
    ) -> Registration:
        """Register again, by keypoints of the moving image warped by a first result."""
        again = self._encoder.encode_warped(fixed, moving, first.transform)
        second = self._as_taken(fixed, again, method)
        failed = second.transform is None or (first.ok and not second.ok)
        keep_first = failed and not self.options.second_pass_decides
        kept = first if keep_first else second
        ratios = {
            f"inlier_ratio_pass_{i}": result.evidence["inlier_ratio"]
            for i, result in enumerate((first, second), start=1)
        }
        return dataclasses.replace(kept, evidence={**kept.evidence, **ratios})

    def register(
        self,
        fixed: Source | Photo,
        moving: Source | Photo,
        *,
        transform: str = "auto",
        estimator: str = "magsac",
        guided: bool = True,
        two_pass: bool = False,
        curvature: Curvature | None = None,
    ) -> Registration:
        """Find the transform that maps the moving image onto the fixed one.

        A pair that is not accepted as it was taken is tried again, turned and scaled
        (`rkd_jax.registration.search.propose`; the option `search`).

        Args:
            fixed: path, array or `Photo`.
            moving: path, array or `Photo`.
            transform: family, of `fitting.fit.CHOICES`; "auto" takes the one that
                explains held-out matches best.
            estimator: a key of `fitting.fit.ESTIMATORS`.
            guided: match again near where a first fit puts each point
                (`rkd_jax.registration.matching.guided`).
            two_pass: warp the moving image by the first result, find and match
                keypoints again, and fit anew from these points, mapped back into the
                original moving image. The first result is kept if the second pass fits
                nothing, or is not accepted though the first is (see the option
                `second_pass_decides`).
            curvature: what is known of the camera (`fitting.calibrate`);
                None: geometry only.

        Returns:
            A `Registration`; `ok` is False where the pair cannot be registered, and
            the reason says what was tried. With `two_pass`, its evidence has
            "inlier_ratio" of the pass that is kept and "inlier_ratio_pass_1",
            "inlier_ratio_pass_2"; a pair that the search finds has one pass.

        Raises:
            FileNotFoundError, TypeError, ValueError: an image cannot be used.

        Source: the two passes of SuperRetina's FIRE evaluation, where a failed
        second pass fails the pair and its homography is multiplied to the first.
        """
        fixed, moving = self.photos([fixed, moving])
        method = _Method(transform, estimator, guided, curvature)
        first = self._as_taken(fixed, moving, method)
        if two_pass and first.transform is not None:
            first = self._second_pass(fixed, moving, method, first)
        if first.ok or not self.options.search:
            return first

        def attempt(pair: Pair) -> Registration:
            return self._attempt(pair, method)

        found = search(self._encoder, fixed, moving, attempt)
        if found is not None:
            return found
        reason = f"{first.reason}; {tried(self._encoder)}"
        return dataclasses.replace(first, reason=reason)


def load_matcher(
    weights: Weights | str | os.PathLike[str] | None = None,
    *,
    method: str = "network",
    options: MatcherOptions | None = None,
    **changes: Any,
) -> Matcher:
    """Build a matcher.

    Args:
        weights: a weight file, or the name of one that comes with the package (see
            `rkd_jax.weights.find`); None takes the default.
        method: "network", or "sift" for OpenCV's SIFT, which needs no weights.
        options: settings; None takes those that suit the method (SIFT: at most 4000
            points, ratio 0.85).
        **changes: single fields of `MatcherOptions`.

    Raises:
        FileNotFoundError: no such file, or none given and none packaged.
        ValueError: unknown method or field, or not a weight file.

    Example:
        >>> load_matcher(method="sift", working_size=256).options.ratio
        0.85
    """
    known = {field.name for field in dataclasses.fields(MatcherOptions)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ValueError(f"unknown options {unknown}; known: {sorted(known)}")
    if method == "sift":
        if weights is not None:
            raise ValueError("method 'sift' takes no weights: drop one of the two")
        from rkd_jax.registration.keypoints.sift import SIFT_OPTIONS, SiftKeypoints

        options = dataclasses.replace(options or SIFT_OPTIONS, **changes)
        return Matcher(SiftKeypoints(options), options)
    if method != "network":
        raise ValueError(f"method: expected 'network' or 'sift', found {method!r}")
    from rkd_jax.registration.keypoints.network import NetworkKeypoints

    options = dataclasses.replace(options or MatcherOptions(), **changes)
    return Matcher(NetworkKeypoints(weights, options), options)


@functools.lru_cache(maxsize=2)
def _cached_matcher(weights: str | None, stamp: float, method: str) -> Matcher:
    return load_matcher(weights, method=method)


def register_pair(
    fixed: Source,
    moving: Source,
    *,
    weights: str | os.PathLike[str] | None = None,
    method: str = "network",
    transform: str = "auto",
    estimator: str = "magsac",
    guided: bool = True,
    two_pass: bool = False,
) -> Registration:
    """Register one pair: `load_matcher(weights).register(fixed, moving)`.

    The matcher is kept between calls while the weight file stays the same. For the
    arguments see `load_matcher` and `Matcher.register`.

    Example:
        >>> import cv2
        >>> rng = np.random.default_rng(0)
        >>> eye = cv2.GaussianBlur(rng.random((240, 240), np.float32), (0, 0), 3)
        >>> result = register_pair(eye, eye, method="sift")
        >>> result.ok, result.warp_points([[70.0, 80.0]]).round(1).tolist()
        (True, [[70.0, 80.0]])
    """
    path, stamp = None, 0.0
    if method == "network":
        from rkd_jax.weights import find

        path = find(weights)
        stamp = path.stat().st_mtime
    elif weights is not None:
        path = pathlib.Path(weights)
    matcher = _cached_matcher(None if path is None else str(path), stamp, method)
    return matcher.register(
        fixed,
        moving,
        transform=transform,
        estimator=estimator,
        guided=guided,
        two_pass=two_pass,
    )

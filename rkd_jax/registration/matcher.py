"""From two photographs to a registration: photo, match, fit, judge.

`register_pair` -> `Matcher.register` -> `photo` (read, prepared, encoded once) ->
`matching.pair.Pair` (match) -> `matching.guided.fit_pair` (fit) -> `verdict` (judge).
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rkd_jax.images.prepare import describe
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matching.guided import fit_pair
from rkd_jax.registration.matching.pair import Pair
from rkd_jax.registration.matching.warp import warp_photo
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo, Source, prepare_photo
from rkd_jax.registration.result import Registration
from rkd_jax.registration.search.propose import (
    MAX_SCALE,
    TURNS_DEG,
    Hypothesis,
    by_network,
    by_sift,
)
from rkd_jax.registration.search.rectify import shared_parts
from rkd_jax.registration.transforms import Transform
from rkd_jax.registration.verdict.confidence import model_digest
from rkd_jax.registration.verdict.evidence import gather
from rkd_jax.registration.verdict.judge import judge
from rkd_jax.version import __version__

if TYPE_CHECKING:
    from rkd_jax.weights import Weights


class Detector(Protocol):
    """Finds keypoints with descriptors (`registration.keypoints`).

    Attributes:
        working_size: the longer side of the images that it wants, in px.
        upright: whether it finds a point again only in photographs of nearly one turn.
    """

    working_size: int
    upright: bool

    def __call__(self, photos: Sequence[Photo]) -> list[Keypoints]:
        """Find the keypoints of prepared photographs, in pixels of their images."""

    def settings(self) -> dict[str, Any]:
        """Return what its keypoints depend on besides the options, ready for JSON."""


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

    def settings(self) -> dict[str, Any]:
        """Return all that a result depends on, ready for JSON."""
        return {
            **self.detector.settings(),
            **dataclasses.asdict(self.options),
            "working_size": self.working_size,
            "confidence_sha256": model_digest(),
            "version": __version__,
        }

    def photo(self, source: Source | Photo, *, name: str | None = None) -> Photo:
        """Read and prepare a photograph, and find its keypoints.

        Args:
            source: path, encoded bytes or array; a `Photo` is returned as it is.
            name: what to call it in an error; None: by its path.

        Raises:
            FileNotFoundError, TypeError, ValueError: the image cannot be used.
        """
        (photo,) = self.photos([source], names=None if name is None else [name])
        return photo

    def photos(
        self, sources: Sequence[Source | Photo], *, names: Sequence[str] | None = None
    ) -> list[Photo]:
        """Do the same for several photographs, which are prepared in threads.

        Keypoints are found in one photograph at a time: in batches of another size a
        network's results differ in their last digits.
        """
        names = names or [
            "" if isinstance(source, Photo) else describe(source) for source in sources
        ]

        def prepare(source: Source | Photo, name: str) -> Photo:
            if isinstance(source, Photo):
                return source
            return prepare_photo(source, self.options, self.working_size, name=name)

        # Decoding and filtering leave the interpreter free: one thread an image.
        with ThreadPoolExecutor(max_workers=max(1, min(len(sources), 4))) as pool:
            return [
                photo if photo.keypoints is not None else self._encode(photo)
                for photo in pool.map(prepare, sources, names)
            ]

    def _encode(self, photo: Photo) -> Photo:
        """Find the keypoints of a prepared photograph."""
        (keypoints,) = self.detector([photo])
        xy = self._to_file(photo, keypoints)
        return dataclasses.replace(photo, keypoints=keypoints, xy=xy)

    def _to_file(self, photo: Photo, keypoints: Keypoints) -> np.ndarray:
        """Return keypoints in file pixels, truncated if the options say so."""
        if not self.options.truncate_points:
            return photo.to_file(keypoints.xy)
        scale = np.asarray(photo.scale)
        return np.trunc(np.asarray(keypoints.xy, np.float64) / scale) + photo.box[:2]

    def _encode_warped(
        self, fixed: Photo, moving: Photo, transform: Transform
    ) -> Photo:
        """Find a photograph's keypoints in a copy drawn in the frame of another.

        Returns:
            The moving photograph; its keypoints are those of the copy, and lie in its
            own file.
        """
        image, field = warp_photo(fixed, moving, transform)
        height, width = fixed.size
        image = np.clip(image, 0, 1)
        image[height:], image[:, width:] = 0, 0
        copy = dataclasses.replace(fixed, image=image, field=field & fixed.field)
        (keypoints,) = self.detector([copy])
        xy = transform.apply_inverse(self._to_file(copy, keypoints))
        return dataclasses.replace(moving, keypoints=keypoints, xy=xy)

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
        return judge(fit, matches, evidence, pair)

    def _as_taken(self, fixed: Photo, moving: Photo, method: _Method) -> Registration:
        """Register two photographs as the cameras took them."""
        return self._attempt(Pair(fixed, moving, self.options), method)

    def _second_pass(
        self, fixed: Photo, moving: Photo, method: _Method, first: Registration
    ) -> Registration:
        """Register again, by keypoints of the moving image warped by a first result."""
        again = self._encode_warped(fixed, moving, first.transform)
        second = self._as_taken(fixed, again, method)
        failed = second.transform is None or (first.ok and not second.ok)
        keep_first = failed and not self.options.second_pass_decides
        kept = first if keep_first else second
        ratios = {
            f"inlier_ratio_pass_{i}": result.evidence["inlier_ratio"]
            for i, result in enumerate((first, second), start=1)
        }
        return dataclasses.replace(kept, evidence={**kept.evidence, **ratios})

    def _rectified(
        self, fixed: Photo, moving: Photo, method: _Method, hypothesis: Hypothesis
    ) -> Registration | None:
        """Register the part that two photographs share, brought to one turn and scale.

        Returns:
            None where they share next to nothing.
        """
        similarity = hypothesis.transform
        parts = shared_parts(fixed, moving, similarity, self.working_size)
        if parts is None:
            return None
        fixed_part, moving_part = parts
        if fixed_part.keypoints is None:
            fixed_part = self._encode(fixed_part)
        moving_part = self._encode_warped(fixed_part, moving_part, similarity)
        pair = Pair(fixed_part, moving_part, self.options, scale=hypothesis.scale)
        return self._attempt(pair, method)

    def _hypotheses(self, fixed: Photo, moving: Photo) -> Iterator[Hypothesis]:
        """Yield the turns and scales to try, the cheap ones first."""
        yield from by_sift(fixed, moving)
        if self.detector.upright:
            ratio, mutual = self.options.ratio, self.options.mutual
            yield from by_network(
                self.detector, fixed, moving, ratio=ratio, mutual=mutual
            )

    def _searched(
        self, fixed: Photo, moving: Photo, method: _Method
    ) -> Registration | None:
        """Register two photographs turned or scaled against each other, or None."""
        for hypothesis in self._hypotheses(fixed, moving):
            found = self._rectified(fixed, moving, method, hypothesis)
            if found is not None and found.ok:
                return found
        return None

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
        found = self._searched(fixed, moving, method)
        if found is not None:
            return found
        tried = f"tried too: any turn and scales up to {MAX_SCALE:g} by SIFT"
        if self.detector.upright:
            tried += f", turns of {TURNS_DEG[0]} degrees by the network"
        return dataclasses.replace(first, reason=f"{first.reason}; {tried}")


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

"""What all matchers share: views of photographs, and the way to a registration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from rkd_jax.images.field import prepared_field
from rkd_jax.images.prepare import (
    Resized,
    describe,
    field_box,
    fit_to,
    normalize,
    read_image,
)
from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.matching.guided import fit_pair
from rkd_jax.registration.matching.matches import PairMatcher, Placed
from rkd_jax.registration.matching.refine import Aligner, Photograph, seen_from
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.result import Registration, judge
from rkd_jax.registration.search.propose import MAX_SCALE, Hypothesis, by_sift
from rkd_jax.registration.search.rectify import Detail, frames_of, shared_parts
from rkd_jax.registration.transforms import Frame, Transform
from rkd_jax.registration.verdict.confidence import model_digest
from rkd_jax.registration.verdict.evidence import Sizes, gather
from rkd_jax.version import __version__

Source = str | os.PathLike[str] | bytes | np.ndarray

_RIM_PX = 8  # how far inside the camera's field keypoints begin, at 768 px


@dataclasses.dataclass(frozen=True, eq=False)
class View(Detail):
    """One photograph with its keypoints, ready to be matched with others.

    Attributes:
        prepared: the image at the working size and the way back to file pixels.
        field: `[S, S]` bool, where keypoints may lie.
        pixels: `[H, W]` uint8, the normalized file.
        keypoints: in pixels of the working size, NumPy arrays.
    """

    keypoints: Keypoints


@dataclasses.dataclass(frozen=True, eq=False)
class _Features:
    """Keypoints of a prepared image, in working pixels."""

    prepared: Resized
    keypoints: Keypoints


@dataclasses.dataclass(frozen=True)
class _Method:
    """How a transform is fitted: the arguments of `BaseMatcher.register`."""

    transform: str
    estimator: str
    guided: bool
    curvature: Curvature | None


class BaseMatcher:
    """Everything but the features: subclasses find keypoints with descriptors."""

    options: MatcherOptions
    working_size: int
    tried = f"tried too: any turn and scales up to {MAX_SCALE:g} by SIFT"

    def _features(self, views: Sequence[tuple[Resized, np.ndarray]]) -> list[Keypoints]:
        """Find keypoints of (prepared image, field) pairs, in working pixels."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return what a result depends on, ready for JSON."""
        return {
            **dataclasses.asdict(self.options),
            "working_size": self.working_size,
            "confidence_sha256": model_digest(),
            "version": __version__,
        }

    def _prepare(self, source: Source, name: str) -> Detail:
        """Read and prepare one photograph, and find its field."""
        options = self.options
        image = read_image(source, name=name)
        box = field_box(image) if options.crop_field else None
        normalized = normalize(image, name=name)
        prepared = fit_to(
            normalized,
            self.working_size,
            mode=options.resize_mode,
            pad_to="square",
            box=box,
            quantize=options.quantize,
        )
        if options.mask_field:
            rim_px = _RIM_PX * self.working_size / 768
            field = prepared_field(image, prepared, rim_px=rim_px)
        else:
            field = np.zeros(prepared.image.shape, bool)
            field[: prepared.size[0], : prepared.size[1]] = True
        return Detail(prepared, field, cv2.convertScaleAbs(normalized, alpha=255.0))

    def view(
        self, *sources: Source | View, names: Sequence[str] | None = None
    ) -> list[View]:
        """Find the keypoints of photographs, all in one batch.

        Args:
            *sources: paths or arrays; a `View` is passed through.
            names: what to call the sources in an error; None: by their paths.
        """
        views = list(sources)
        new = [i for i, source in enumerate(sources) if not isinstance(source, View)]
        called = [names[i] if names else describe(sources[i]) for i in new]
        # Decoding and filtering leave the interpreter free: one thread an image.
        with ThreadPoolExecutor(max_workers=max(1, min(len(new), 4))) as pool:
            ready = list(pool.map(self._prepare, [sources[i] for i in new], called))
        found = self._keypoints(*ready) if ready else []
        for i, detail, keypoints in zip(new, ready, found, strict=True):
            views[i] = View(detail.prepared, detail.field, detail.pixels, keypoints)
        return views

    def _keypoints(self, *photographs: Photograph) -> list[Keypoints]:
        """Find the keypoints of prepared photographs, all in one batch."""
        return self._features([(p.prepared, p.field) for p in photographs])

    def _to_file(self, prepared: Resized, xy: np.ndarray) -> np.ndarray:
        """Map working pixels to file pixels, truncated if the options say so."""
        if not self.options.truncate_points:
            return prepared.to_file(xy)
        scale = np.asarray(prepared.scale)
        return np.trunc(np.asarray(xy, np.float64) / scale) + prepared.box[:2]

    def detect(self, image: Source | View) -> Keypoints:
        """Find keypoints, in pixels of the user's file.

        Args:
            image: path or array (grey or RGB, uint8, uint16 or float).

        Returns:
            Keypoints with NumPy arrays; `xy [K, 2]` float32, zero where masked out.
        """
        (view,) = self.view(image)
        xy = self._to_file(view.prepared, view.keypoints.xy).astype(np.float32)
        mask = view.keypoints.mask
        return view.keypoints.replace(xy=np.where(mask[:, None], xy, np.float32(0)))

    def _placed(
        self,
        found: View | _Features,
        field: Frame,
        frame: Frame,
        drawn_by: Transform | None = None,
    ) -> Placed:
        """Place keypoints in their file.

        Those of an image that was drawn through a transform are placed in the file that
        it was drawn from.
        """
        xy = self._to_file(found.prepared, found.keypoints.xy)
        if drawn_by is not None:
            xy = drawn_by.apply_inverse(xy)
        return Placed(found.prepared, found.keypoints, xy, field, frame)

    def _drawn(
        self, fixed: Photograph, moving: Photograph, transform: Transform
    ) -> _Features:
        """See the moving image in the frame of the fixed one, and find keypoints."""
        image, field = seen_from(fixed, moving, transform)
        height, width = fixed.prepared.size
        image = np.clip(image, 0, 1)
        image[height:], image[:, width:] = 0, 0
        prepared = dataclasses.replace(fixed.prepared, image=image)
        (keypoints,) = self._features([(prepared, field & fixed.field)])
        return _Features(prepared, keypoints)

    def _attempt(
        self,
        fixed: Placed,
        moving: Placed,
        sizes: Sizes,
        method: _Method,
        aligner: Aligner | None,
    ) -> Registration:
        """Match, fit and judge two sets of keypoints."""
        pair = PairMatcher(fixed, moving, self.options)
        free = pair.free()
        result, matches = fit_pair(
            pair,
            free,
            family=method.transform,
            estimator=method.estimator,
            guided=method.guided,
            curvature=method.curvature,
            align=aligner,
        )
        evidence: dict[str, float] = {}
        if result.transform is not None:
            evidence = gather(
                result.transform,
                free,
                pair,
                sizes,
                estimator=method.estimator,
                curvature=method.curvature,
            )
        fields = (moving.field, fixed.field)
        judged = judge(result, matches, evidence, sizes, frames=fields)
        return dataclasses.replace(judged, frames=(moving.frame, fixed.frame))

    def _aligner(
        self, method: _Method, fixed: Photograph, moving: Photograph
    ) -> Aligner | None:
        aligned = method.guided and self.options.align
        return Aligner(fixed, moving) if aligned else None

    def _as_taken(
        self, fixed: View, moving: View, method: _Method, *, two_pass: bool
    ) -> Registration:
        """Register two photographs as they were taken."""
        fields = [Frame.of_box(view.prepared.box) for view in (fixed, moving)]
        unit = self.working_size / 768.0
        sizes = Sizes(
            fixed.prepared.file_size,
            moving.prepared.file_size,
            float(np.mean(fixed.prepared.scale)) / unit,
            float(np.mean(moving.prepared.scale)) / unit,
        )
        aligner = self._aligner(method, fixed, moving)
        to = self._placed(fixed, fields[0], fields[0])

        def attempt(found: View | _Features, by: Transform | None) -> Registration:
            placed = self._placed(found, fields[1], fields[1], by)
            return self._attempt(to, placed, sizes, method, aligner)

        first = attempt(moving, None)
        if not two_pass or first.transform is None:
            return first
        second = attempt(self._drawn(fixed, moving, first.transform), first.transform)
        kept = second
        failed = second.transform is None or (first.ok and not second.ok)
        if failed and not self.options.second_pass_decides:
            kept = first
        ratios = {
            f"inlier_ratio_pass_{i}": result.evidence["inlier_ratio"]
            for i, result in enumerate((first, second), start=1)
        }
        return dataclasses.replace(kept, evidence={**kept.evidence, **ratios})

    def _rectified(
        self, fixed: View, moving: View, method: _Method, hypothesis: Hypothesis
    ) -> Registration | None:
        """Register what two photographs share, brought to one turn and scale.

        Returns:
            None where they share next to nothing.
        """
        similarity, size = hypothesis.transform, self.working_size
        parts = shared_parts(fixed, moving, similarity, size)
        if parts is None:
            return None
        fixed_part, moving_part = parts
        if isinstance(fixed_part, View):
            here: View | _Features = fixed_part
        else:
            (keypoints,) = self._keypoints(fixed_part)
            here = _Features(fixed_part.prepared, keypoints)
        there = self._drawn(fixed_part, moving_part, similarity)
        frames = frames_of(fixed.prepared, moving.prepared, hypothesis.scale)
        fields = [Frame.of_box(view.prepared.box) for view in (moving, fixed)]
        fixed_scale = float(np.mean(fixed_part.prepared.scale)) / (size / 768.0)
        sizes = Sizes(
            fixed.prepared.file_size,
            moving.prepared.file_size,
            fixed_scale,
            fixed_scale * hypothesis.scale,
            moving_part.prepared.box,
        )
        return self._attempt(
            self._placed(here, fields[1], frames[1]),
            self._placed(there, fields[0], frames[0], similarity),
            sizes,
            method,
            self._aligner(method, fixed_part, moving_part),
        )

    def _hypotheses(self, fixed: View, moving: View) -> Iterator[Hypothesis]:
        """Yield the turns and scales to try; those that cost more come last."""
        yield from by_sift(fixed, moving)

    def _searched(
        self, fixed: View, moving: View, method: _Method
    ) -> Registration | None:
        """Register two photographs turned or scaled against each other, or None."""
        for hypothesis in self._hypotheses(fixed, moving):
            found = self._rectified(fixed, moving, method, hypothesis)
            if found is not None and found.ok:
                return found
        return None

    def register(
        self,
        fixed: Source | View,
        moving: Source | View,
        *,
        transform: str = "auto",
        estimator: str = "magsac",
        guided: bool = True,
        two_pass: bool = False,
        curvature: Curvature | None = None,
    ) -> Registration:
        """Find the transform that maps the moving image onto the fixed one.

        Args:
            fixed: path, array or `View`.
            moving: path, array or `View`.
            transform: family, of `fitting.fit.CHOICES`; "auto" takes the one that
                explains held-out matches best.
            estimator: a key of `fitting.fit.ESTIMATORS`.
            guided: look for more matches near where a first fit expects them
                (`rkd_jax.registration.matching.guided`).
            two_pass: warp the moving image by the first result, find and match
                keypoints again, and fit anew from these points, taken back into the
                original moving image. Where the second pass fits nothing, or is not
                believed though the first is, the first one stands (see the option
                `second_pass_decides`).
            curvature: what is known of the camera (`fitting.calibrate`);
                None: nothing but geometry.

        A pair that is not believed as it was taken is tried again, turned and scaled
        (`rkd_jax.registration.search.propose`; the option `search`).

        Returns:
            A `Registration`; `ok` is False, with a reason that says what was tried,
            where the pair cannot be registered. With `two_pass`, its evidence has
            "inlier_ratio" of the pass that stands and "inlier_ratio_pass_1",
            "inlier_ratio_pass_2"; a pair that the search finds has one pass.

        Raises:
            FileNotFoundError, TypeError, ValueError: an image cannot be used.

        Source: the two passes of SuperRetina's FIRE evaluation, where a failed
        second pass fails the pair and its homography is multiplied to the first.
        """
        fixed, moving = self.view(fixed, moving)
        method = _Method(transform, estimator, guided, curvature)
        first = self._as_taken(fixed, moving, method, two_pass=two_pass)
        if first.ok or not self.options.search:
            return first
        found = self._searched(fixed, moving, method)
        if found is not None:
            return found
        return dataclasses.replace(first, reason=f"{first.reason}; {self.tried}")

"""What all matchers share: views of photographs, and the way to a registration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import rkd_jax
from rkd_jax.data.preprocess import (
    Resized,
    describe,
    field_box,
    fit_to,
    normalize,
    read_image,
)
from rkd_jax.keypoints import Keypoints
from rkd_jax.matching.confidence import model_digest
from rkd_jax.matching.curvature import Curvature
from rkd_jax.matching.evidence import Sizes, gather
from rkd_jax.matching.field import prepared_field
from rkd_jax.matching.guided import fit_pair
from rkd_jax.matching.matches import PairMatcher, Placed
from rkd_jax.matching.options import MatcherOptions
from rkd_jax.matching.patches import Aligner, Photograph, seen_from
from rkd_jax.matching.registration import Registration, judge
from rkd_jax.matching.transforms import Frame, Transform

Source = str | os.PathLike | bytes | np.ndarray

_RIM_PX = 8  # how far inside the camera's field keypoints begin, at 768 px


@dataclasses.dataclass(frozen=True, eq=False)
class View(Photograph):
    """One photograph with its keypoints, ready to be matched with others.

    Attributes:
        prepared: the image at the working size and the way back to file pixels.
        field: `[S, S]` bool, where keypoints may lie.
        keypoints: in pixels of the working size, NumPy arrays.
    """

    keypoints: Keypoints


class BaseMatcher:
    """Everything but the features: subclasses find keypoints with descriptors."""

    options: MatcherOptions
    working_size: int

    def _features(self, views: Sequence[tuple[Resized, np.ndarray]]) -> list[Keypoints]:
        """Find keypoints of (prepared image, field) pairs, in working pixels."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return what a result depends on, ready for JSON."""
        return {
            **dataclasses.asdict(self.options),
            "working_size": self.working_size,
            "confidence_sha256": model_digest(),
            "version": rkd_jax.__version__,
        }

    def _prepare(self, source: Source, name: str) -> tuple[Resized, np.ndarray]:
        """Read and prepare one photograph, and find its field."""
        options = self.options
        image = read_image(source, name=name)
        box = field_box(image) if options.crop_field else None
        prepared = fit_to(
            normalize(image, name=name),
            self.working_size,
            mode=options.resize_mode,
            pad_to="square",
            box=box,
            quantize=options.quantize,
        )
        if options.mask_field:
            rim_px = _RIM_PX * self.working_size / 768
            return prepared, prepared_field(image, prepared, rim_px=rim_px)
        field = np.zeros(prepared.image.shape, bool)
        field[: prepared.size[0], : prepared.size[1]] = True
        return prepared, field

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
        found = self._features(ready) if ready else []
        for i, (prepared, field), keypoints in zip(new, ready, found, strict=True):
            views[i] = View(prepared, field, keypoints)
        return views

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

    def _placed(self, view: View, back: tuple[Transform, View] | None = None) -> Placed:
        """Place a view's keypoints in its file.

        A view that was drawn through a transform comes with it and with the view of
        the photograph it was drawn from: the keypoints are placed in that file.
        """
        xy, source = self._to_file(view.prepared, view.keypoints.xy), view
        if back is not None:
            transform, source = back
            xy = transform.apply_inverse(xy)
        frame = Frame.of_box(source.prepared.box)
        return Placed(view.prepared, view.keypoints, xy, frame)

    def _warped_view(self, fixed: View, moving: View, transform: Transform) -> View:
        """See the moving image in the frame of the fixed one, and find keypoints."""
        image, field = seen_from(fixed, moving, transform)
        height, width = fixed.prepared.size
        image = np.clip(image, 0, 1)
        image[height:], image[:, width:] = 0, 0
        field &= fixed.field
        prepared = dataclasses.replace(fixed.prepared, image=image)
        (keypoints,) = self._features([(prepared, field)])
        return View(prepared, field, keypoints)

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
            transform: family, of `rkd_jax.matching.fit.CHOICES`; "auto" takes the
                one that explains held-out matches best.
            estimator: a key of `rkd_jax.matching.fit.ESTIMATORS`.
            guided: look for more matches near where a first fit expects them
                (`rkd_jax.matching.guided`).
            two_pass: warp the moving image by the first result, find and match
                keypoints again, and fit anew from these points, taken back into the
                original moving image. Where the second pass fits nothing, or is not
                believed though the first is, the first one stands (see the option
                `second_pass_decides`).
            curvature: what is known of the camera (`rkd_jax.matching.calibrate`);
                None: nothing but geometry.

        Returns:
            A `Registration`; `ok` is False, with a reason, where the pair cannot
            be registered. With `two_pass`, its evidence has "inlier_ratio" of the
            pass that stands and "inlier_ratio_pass_1", "inlier_ratio_pass_2".

        Raises:
            FileNotFoundError, TypeError, ValueError: an image cannot be used.

        Source: the two passes of SuperRetina's FIRE evaluation, where a failed
        second pass fails the pair and its homography is multiplied to the first.
        """
        fixed, moving = self.view(fixed, moving)
        unit = self.working_size / 768.0
        sizes = Sizes(
            fixed.prepared.file_size,
            moving.prepared.file_size,
            float(np.mean(fixed.prepared.scale)) / unit,
            float(np.mean(moving.prepared.scale)) / unit,
        )

        aligner = None
        if guided and self.options.align:
            aligner = Aligner(fixed, moving)

        def attempt(
            view: View, back: tuple[Transform, View] | None = None
        ) -> Registration:
            pair = PairMatcher(
                self._placed(fixed), self._placed(view, back), self.options
            )
            free = pair.free()
            result, matches = fit_pair(
                pair,
                free,
                family=transform,
                estimator=estimator,
                guided=guided,
                curvature=curvature,
                align=aligner,
            )
            evidence: dict[str, float] = {}
            if result.transform is not None:
                evidence = gather(
                    result.transform,
                    free,
                    pair,
                    sizes,
                    estimator=estimator,
                    curvature=curvature,
                )
            frames = (pair.moving.frame, pair.fixed.frame)
            return judge(result, matches, evidence, sizes, frames=frames)

        first = attempt(moving)
        if not two_pass or first.transform is None:
            return first
        warped = self._warped_view(fixed, moving, first.transform)
        second = attempt(warped, (first.transform, moving))
        kept = second
        failed = second.transform is None or (first.ok and not second.ok)
        if failed and not self.options.second_pass_decides:
            kept = first
        ratios = {
            f"inlier_ratio_pass_{i}": result.evidence["inlier_ratio"]
            for i, result in enumerate((first, second), start=1)
        }
        return dataclasses.replace(kept, evidence={**kept.evidence, **ratios})

"""From two photographs to a registration: the matcher of a trained network."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import keypoints as kp
from rkd_jax import models
from rkd_jax import weights as weight_files
from rkd_jax.images.prepare import Resized
from rkd_jax.keypoints import Keypoints
from rkd_jax.models.tiles import apply_in_tiles, halo
from rkd_jax.registration.base import BaseMatcher, Source, View
from rkd_jax.registration.keypoints.dog import dog_points, make_sift
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.result import Registration
from rkd_jax.registration.search.propose import TURNS_DEG, Hypothesis, by_network

Array = jax.Array


class Matcher(BaseMatcher):
    """Registers photographs by the keypoints of a trained network.

    One program is compiled for each batch size at the working size, however large
    the photographs are.

    Args:
        weights: a `Weights` or the path of a weight file.
        options: settings; keyword arguments change single ones of them.
        **changes: fields of `MatcherOptions`.

    Example:
        >>> from rkd_jax import models, weights
        >>> options = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
        >>> tiny = models.build("superretina", **options)
        >>> key, image = jax.random.key(0), jnp.zeros((1, 64, 64, 1))
        >>> variables = tiny.init(key, image)
        >>> untrained = weights.Weights("superretina", options, variables, {}, {}, {})
        >>> matcher = Matcher(untrained, working_size=64)
        >>> heatmap, descriptors = matcher.maps(image)
        >>> heatmap.shape, descriptors.shape
        ((1, 64, 64), (1, 6, 6, 8))
    """

    tried = f"{BaseMatcher.tried}, turns of {TURNS_DEG[0]} degrees by the network"

    def __init__(
        self,
        weights: weight_files.Weights | str | os.PathLike[str],
        options: MatcherOptions | None = None,
        **changes: Any,
    ) -> None:
        if not isinstance(weights, weight_files.Weights):
            weights = weight_files.load(weights)
        channel = weights.preprocess.get("channel", "green")
        if channel != "green":
            raise ValueError(
                f"weights were trained on channel {channel!r}; this version "
                "prepares 'green' only"
            )
        self.weights = weights
        self.options = dataclasses.replace(options or MatcherOptions(), **changes)
        size = self.options.working_size or weights.preprocess.get("size") or 768
        self.working_size = int(size)
        self._grid = weights.preprocess.get("descriptor_grid", "aligned")
        self._module = models.build(weights.model, **weights.options)
        if self.options.tile is not None:
            halo(self._module)  # refuses networks that cannot
        self._variables = jax.tree.map(jnp.asarray, weights.variables)
        self._maps = jax.jit(self._apply)
        self._detect = jax.jit(self._apply_and_detect)

    def settings(self) -> dict[str, Any]:
        return {
            "method": "network",
            "model": self.weights.model,
            "weights_sha256": self.weights.sha256,
            "descriptor_grid": self._grid,
            **super().settings(),
        }

    def _apply(self, variables: Any, images: Array) -> tuple[Array, Array]:
        tile = self.options.tile
        if tile is None:
            output = self._module.apply(variables, images, train=False)
        else:
            output = apply_in_tiles(self._module, variables, images, tile=tile)
        return output.heatmap, output.descriptors

    def maps(self, images: Array | np.ndarray) -> tuple[Array, Array]:
        """Run the network.

        Args:
            images: `[B, H, W, 1]` float32 in 0..1, prepared as
                `rkd_jax.images.prepare.normalize` does.

        Returns:
            heatmap `[B, H, W]` float32 in 0..1, and descriptors `[B, h, w, D]`,
            not of unit norm; sample them with `rkd_jax.keypoints`.
        """
        images = jnp.asarray(images, jnp.float32)
        if images.ndim != 4 or images.shape[-1] != 1:
            raise ValueError(f"images: expected [B, H, W, 1], found {images.shape}")
        return self._maps(self._variables, images)

    def _apply_and_detect(
        self,
        variables: Any,
        images: Array,
        sizes: Array,
        fields: Array,
        more_xy: Array,
        more_masks: Array,
    ) -> Keypoints:
        """Detect keypoints and read descriptors there and at `more_xy [B, E, 2]`."""
        heatmaps, descriptors = self._apply(variables, images)

        def one(
            heatmap: Array,
            cells: Array,
            size: Array,
            field: Array,
            more_xy: Array,
            more_mask: Array,
        ) -> Keypoints:
            found = kp.detect(
                heatmap,
                max_keypoints=self.options.max_keypoints,
                threshold=self.options.threshold,
                radius=self.options.nms_radius,
                border=self.options.border,
                size=(size[0], size[1]),
                method=self.options.nms_method,
                subpixel=self.options.subpixel,
            )
            x, y = kp.pixel_index(found.xy, heatmap.shape, "round")
            own = found.mask & field[y, x]
            x, y = kp.pixel_index(more_xy, heatmap.shape, "round")
            xy = jnp.concatenate([found.xy, more_xy])
            return Keypoints(
                xy=xy,
                scores=jnp.concatenate(
                    [found.scores, jnp.where(more_mask, heatmap[y, x], 0.0)]
                ),
                mask=jnp.concatenate([own, more_mask]),
                descriptors=kp.sample_descriptors(cells, xy, grid=self._grid),
            )

        return jax.vmap(one)(heatmaps, descriptors, sizes, fields, more_xy, more_masks)

    def _more_points(
        self, views: Sequence[tuple[Resized, np.ndarray]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return SIFT's points `[B, E, 2]` and masks; E is 0 without them."""
        if self.options.points == "detector":
            return np.zeros((len(views), 0, 2), np.float32), np.zeros(
                (len(views), 0), bool
            )
        sift = make_sift()
        found = [
            dog_points(
                sift,
                *view,
                border=self.options.border,
                limit=self.options.max_dog,
            )
            for view in views
        ]
        return np.stack([xy for xy, _ in found]), np.stack([mask for _, mask in found])

    def _hypotheses(self, fixed: View, moving: View) -> Iterator[Hypothesis]:
        yield from super()._hypotheses(fixed, moving)
        ratio, mutual = self.options.ratio, self.options.mutual
        yield from by_network(self._features, fixed, moving, ratio=ratio, mutual=mutual)

    def _features(self, views: Sequence[tuple[Resized, np.ndarray]]) -> list[Keypoints]:
        images = np.stack([prepared.image for prepared, _ in views])[..., None]
        sizes = np.array([prepared.size for prepared, _ in views], np.int32)
        fields = np.stack([field for _, field in views])
        batch = self._detect(
            self._variables, images, sizes, fields, *self._more_points(views)
        )
        batch = jax.tree.map(np.asarray, batch)
        return [jax.tree.map(lambda a, i=i: a[i], batch) for i in range(len(views))]


def load_matcher(
    weights: weight_files.Weights | str | os.PathLike[str] | None = None,
    *,
    method: str = "network",
    options: MatcherOptions | None = None,
    **changes: Any,
) -> BaseMatcher:
    """Build a matcher.

    Args:
        weights: a weight file, or the name of one that comes with the package (see
            `rkd_jax.weights.find`); None takes the default.
        method: "network", or "sift" for OpenCV's SIFT, which needs no weights.
        options: settings; None takes those that suit the method.
        **changes: single fields of `MatcherOptions`.

    Raises:
        FileNotFoundError: no such file, or none given and none packaged.
        ValueError: unknown method or field, or not a weight file.
    """
    known = {field.name for field in dataclasses.fields(MatcherOptions)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ValueError(f"unknown options {unknown}; known: {sorted(known)}")
    if method == "sift":
        if weights is not None:
            raise ValueError("method 'sift' takes no weights: drop one of the two")
        from rkd_jax.registration.keypoints.sift import SiftMatcher

        return SiftMatcher(options, **changes)
    if method != "network":
        raise ValueError(f"method: expected 'network' or 'sift', found {method!r}")
    if not isinstance(weights, weight_files.Weights):
        weights = weight_files.find(weights)
    return Matcher(weights, options, **changes)


@functools.lru_cache(maxsize=2)
def _cached_matcher(weights: str | None, stamp: float, method: str) -> BaseMatcher:
    return load_matcher(weights, method=method)


def register(
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
    arguments see `load_matcher` and `BaseMatcher.register`.

    Example:
        >>> import cv2
        >>> rng = np.random.default_rng(0)
        >>> eye = cv2.GaussianBlur(rng.random((240, 240), np.float32), (0, 0), 3)
        >>> result = register(eye, eye, method="sift")
        >>> result.ok, result.warp_points([[70.0, 80.0]]).round(1).tolist()
        (True, [[70.0, 80.0]])
    """
    path, stamp = None, 0.0
    if method == "network":
        path = weight_files.find(weights)
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

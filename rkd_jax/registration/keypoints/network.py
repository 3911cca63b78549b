"""The keypoints of a trained network, and its descriptors at SIFT's points."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import keypoints as kp
from rkd_jax import weights as weight_files
from rkd_jax.keypoints import Keypoints
from rkd_jax.models import OPTIONS, KeypointOptions
from rkd_jax.models.answers import keypoint_names
from rkd_jax.registration.keypoints.dog import dog_points, make_sift
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import Photo
from rkd_jax.runtime.traced import kept_program

Array = jax.Array


class NetworkKeypoints:
    """Keypoints and descriptors of a network: a `Detector`.

    One program is compiled for each batch size at the working size, however large
    the photographs are.

    Args:
        weights: a `Weights`, or the path or the name of a weight file; None takes the
            default.
        options: settings.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a weight file, or of a network that finds no keypoints or takes
            another channel; or `options.tile` with a
            network that cannot run in tiles.

    Example:
        >>> from rkd_jax import models, weights
        >>> model = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}
        >>> tiny = models.build("superretina", **model)
        >>> key, image = jax.random.key(0), jnp.zeros((1, 64, 64, 1))
        >>> variables = tiny.init(key, image)
        >>> untrained = weights.Weights("superretina", model, variables, {}, {}, {})
        >>> network = NetworkKeypoints(untrained, MatcherOptions(working_size=64))
        >>> heatmap, descriptors = network.maps(image)
        >>> heatmap.shape, descriptors.shape
        ((1, 64, 64), (1, 6, 6, 8))
    """

    upright = True

    def __init__(
        self,
        weights: weight_files.Weights | str | os.PathLike | None,
        options: MatcherOptions,
    ) -> None:
        self._path: os.PathLike | None = None  # of weights that are not fully checked
        if not isinstance(weights, weight_files.Weights):
            self._path = weight_files.find(weights)
            weights = weight_files.load(self._path, check_shapes=False)
        kind = OPTIONS.get(weights.model, KeypointOptions)  # a user's is called first
        if not issubclass(kind, KeypointOptions):
            raise ValueError(
                f"{self._path or 'weights'}: weights of {weights.model!r}, which finds "
                f"no keypoints; expected those of {keypoint_names()}"
            )
        channel = weights.preprocess.get("channel", "green")
        if channel != "green":
            raise ValueError(
                f"weights were trained on channel {channel!r}; this version "
                "prepares 'green' only"
            )
        self.weights, self.options = weights, options
        size = options.working_size or weights.preprocess.get("size") or 768
        self.working_size = int(size)
        self._grid = weights.preprocess.get("descriptor_grid", "aligned")
        if options.tile is not None:
            from rkd_jax.models.tiles import halo

            halo(self._module)  # refuses networks that cannot
        self._variables = jax.device_put(weights.variables)
        self._maps = jax.jit(self._apply)
        self._programs: dict[tuple[int, ...], Any] = {}  # by the images' shape

    @functools.cached_property
    def _module(self) -> Any:
        """The network, built where it must be traced: that needs Flax."""
        from rkd_jax import models

        if self._path is not None:
            weight_files.load(self._path)  # checks the shapes, too
        module = models.build(self.weights.model, **self.weights.options)
        models.check_answer(self.weights.model, module)
        return module

    def settings(self) -> dict[str, Any]:
        """Return what the keypoints depend on besides the options."""
        return {
            "method": "network",
            "model": self.weights.model,
            "weights_sha256": self.weights.sha256,
            "descriptor_grid": self._grid,
        }

    def _apply(self, variables: Any, images: Array) -> tuple[Array, Array]:
        tile = self.options.tile
        if tile is None:
            output = self._module.apply(variables, images, train=False)
        else:
            from rkd_jax.models.tiles import apply_in_tiles

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
    ) -> tuple[Array, Array, Array, Array]:
        """Detect keypoints and read descriptors there and at `more_xy [B, E, 2]`.

        Returns:
            The arrays of `Keypoints`, each with an axis for the batch in front.
        """
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

        found = jax.vmap(one)(heatmaps, descriptors, sizes, fields, more_xy, more_masks)
        return found.xy, found.scores, found.mask, found.descriptors

    def _detect(self, *arguments: Any) -> tuple[Array, Array, Array, Array]:
        """Run the program for arguments of these shapes (`_apply_and_detect`)."""
        shape = arguments[0].shape
        arguments = (self._variables, *arguments)
        if shape not in self._programs and self.weights.model not in OPTIONS:
            # A user's network: a kept program would outlive a change of its code.
            self._programs[shape] = jax.jit(self._apply_and_detect)
        if shape not in self._programs:
            facts = {
                "network": [self.weights.model, self.weights.options, self._grid],
                "options": dataclasses.asdict(self.options),
            }
            self._programs[shape] = kept_program(
                lambda: self._apply_and_detect, arguments, facts
            )
        return self._programs[shape](*arguments)

    def _more_points(self, photos: Sequence[Photo]) -> tuple[np.ndarray, np.ndarray]:
        """Return SIFT's points `[B, E, 2]` and masks; E is 0 without them."""
        if self.options.points == "detector":
            none = (len(photos), 0)
            return np.zeros((*none, 2), np.float32), np.zeros(none, bool)
        border, limit = self.options.border, self.options.max_dog
        sift = make_sift()
        found = [
            dog_points(sift, photo, photo.field, border=border, limit=limit)
            for photo in photos
        ]
        return np.stack([xy for xy, _ in found]), np.stack([mask for _, mask in found])

    def __call__(self, photos: Sequence[Photo]) -> list[Keypoints]:
        """Find the keypoints of a batch of photographs, in pixels of their images."""
        images = np.stack([photo.image for photo in photos])[..., None]
        sizes = np.array([photo.size for photo in photos], np.int32)
        fields = np.stack([photo.field for photo in photos])
        batch = self._detect(images, sizes, fields, *self._more_points(photos))
        return [
            Keypoints(*arrays) for arrays in zip(*map(np.asarray, batch), strict=True)
        ]

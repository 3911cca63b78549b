"""Find lesions in photographs: `load_lesion_detector`, `LesionDetector`."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import weights as weight_files
from rkd_jax.images.field import field_of_view
from rkd_jax.images.pictures import visible_rgb8
from rkd_jax.images.reading import check_sides, describe, read_image
from rkd_jax.lesions.choice import DEFAULT
from rkd_jax.lesions.fundus import problem_of
from rkd_jax.lesions.fusion import fuse, needs_classifier
from rkd_jax.lesions.prepare import field_box, field_diameter, prepare, without_rim
from rkd_jax.lesions.proposals import Propose, kept_last, propose, same_networks
from rkd_jax.lesions.regions import BATCH, classify, fill, find_points, refine
from rkd_jax.lesions.result import LesionMap, find_lesions
from rkd_jax.lesions.settings import MODEL, check_numbers, settings_of
from rkd_jax.runtime.traced import kept_program
from rkd_jax.version import __version__

# DRIVE's photographs are enlarged three times, and most of what the packaged weights
# find in its healthy eyes is noise (docs/results.md).
_MOST_ENLARGED = 2.0
_COARSE = (
    "the photograph has too few pixels: it is enlarged {:.1f} times to the scale that "
    "was trained on, and its noise may be taken for lesions"
)

Source = str | os.PathLike[str] | bytes | np.ndarray


class NoFundusError(ValueError):
    """An image shows no camera's field, or nothing in it."""


class LesionDetector:
    """Finds lesions by two proposal networks and a classifier of patches.

    Args:
        weights: of the model "two_stage".
        where: names the weights in an error.
        **changes: fields of `DetectorSettings` that differ from the weights'.

    Raises:
        ValueError: weights of another model, or a bad field.
    """

    def __init__(
        self, weights: weight_files.Weights, *, where: str = "weights", **changes: Any
    ) -> None:
        if weights.model != MODEL:
            raise ValueError(
                f"{where}: weights of the model {weights.model!r}; lesions need "
                f"{MODEL!r}, which the experiment `lesions` trains"
            )
        found = settings_of(weights.preprocess, where)
        self.settings = dataclasses.replace(found, **changes)
        self.weights = weights
        self._where = where
        self._variables = jax.device_put(weights.variables)
        self._programs: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._propose: Propose = self._proposed

    def share_proposals(self, other: LesionDetector) -> None:
        """Let one run of the proposal networks serve this detector and another.

        Args:
            other: differs in the classifier alone, and is asked about the same
                photographs in turn.

        Raises:
            ValueError: its proposal networks, its scale or its field are others.
        """
        if not (
            same_networks(self.weights.variables, other.weights.variables)
            and self.weights.options["proposal"] == other.weights.options["proposal"]
            and self.settings.scale == other.settings.scale
            and self.settings.rim == other.settings.rim
        ):
            raise ValueError(
                f"{other._where}: its proposal networks, or the scale or rim of its "
                f"photographs, differ from those of {self._where}; expected two files "
                "that differ in the classifier alone: give those of one experiment"
            )
        self._propose = other._propose = kept_last(self._proposed)

    def facts(self) -> dict[str, Any]:
        """Return all that a probability depends on, ready for JSON."""
        settings = dataclasses.asdict(self.settings)
        del settings["tile"], settings["threshold"]  # neither changes the map
        return {
            **settings,
            "weights_sha256": self.weights.sha256,
            "version": __version__,
        }

    @functools.cached_property
    def _module(self) -> Any:
        from rkd_jax import models

        return models.build(self.weights.model, **self.weights.options)

    def _run(self, part: str, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of uint8 images by a part of the network."""
        from rkd_jax.models.two_stage import lesion_probability

        def propose(variables: Any, images: jax.Array) -> tuple[jax.Array]:
            images = images.astype(jnp.float32) / 255.0
            return (self._module.apply(variables, images, part, method="propose"),)

        def judge(variables: Any, patches: jax.Array) -> tuple[jax.Array]:
            patches = patches.astype(jnp.float32) / 255.0
            output = self._module.apply(variables, patches, method="judge")
            return (lesion_probability(output),)

        function = judge if part == "classifier" else propose
        arguments = (self._variables, images)
        key = (part, images.shape)
        if key not in self._programs:
            facts = {"two_stage": self.weights.options, "part": part}
            # A user's network: a kept program would outlive a change of its code.
            own = ":" in str(self.weights.options)
            self._programs[key] = (
                jax.jit(function)
                if own
                else kept_program(lambda: function, arguments, facts)
            )
        return np.asarray(self._programs[key](*arguments)[0])

    def _proposed(self, image: np.ndarray) -> dict[str, np.ndarray]:
        reach, tile = self._module.reach(), self.settings.tile
        return propose(self._run, image, reach=reach, tile=tile)

    def _at_scale(
        self, image: np.ndarray, *, refined: bool
    ) -> tuple[dict[str, np.ndarray], float | None]:
        """Return the maps of an image at full scale, and the region threshold.

        Args:
            image: prepared, at full scale.
            refined: whether the classifier is asked; without it there are two maps and
                no region.
        """
        options = self.settings
        maps = self._propose(image)
        if not refined:
            return maps, None
        points = find_points(
            np.maximum(maps["full"], maps["half"]),
            threshold=options.region_threshold,
            stride=options.stride,
            most=options.most_points,
        )
        found = classify(
            functools.partial(self._run, "classifier"),
            image,
            points,
            patch_px=options.patch_px,
            batch=BATCH,
        )
        judged = fill(found, points, image.shape[:2])
        maps.update(refine(maps, judged, points.threshold))
        return maps, points.threshold

    def maps(self, image: Source, *, refined: bool = True) -> dict[str, np.ndarray]:
        """Return the maps that are fused, at the size of the file.

        Args:
            image: path, encoded bytes or array (grey or RGB).
            refined: whether the classifier is asked.

        Returns:
            float32 `[H, W]` in 0..1, 0 outside the field and at its rim: "full",
            "half", and if the classifier is asked "full_refined", "half_refined".

        Raises:
            NoFundusError: nothing gives the scale.
            OSError, TypeError, ValueError: the image cannot be read.
        """
        pixels = _read(image)
        return self._maps(pixels, self._reported(_field(pixels)), refined=refined)[0]

    def _reported(self, field: np.ndarray) -> np.ndarray:
        return without_rim(field, self.settings.rim)

    def _maps(
        self, image: np.ndarray, reported: np.ndarray, *, refined: bool
    ) -> tuple[dict[str, np.ndarray], float | None]:
        """Return the maps of an image, 0 where nothing is reported; see `_at_scale`."""
        prepared = prepare(image, self.settings.scale)
        rows, columns = field_box(prepared.field)
        found, threshold = self._at_scale(
            np.ascontiguousarray(prepared.image[rows, columns]), refined=refined
        )
        at_file = {}
        for name in list(found):
            whole = np.zeros(prepared.field.shape, np.float32)
            whole[rows, columns] = found.pop(name)
            if not np.isfinite(whole).all():
                raise ValueError(
                    f"{self._where}: the map {name!r} has values that are no numbers; "
                    "the weights are damaged: take others"
                )
            at_file[name] = _at_size(whole, reported.shape) * reported
        return at_file, threshold

    def detect(
        self,
        image: Source,
        *,
        threshold: float | None = None,
        um_per_px: float | None = None,
    ) -> LesionMap:
        """Find the lesions of a photograph.

        Args:
            image: path, encoded bytes or array (grey or RGB, uint8, uint16 or float).
            threshold: of the mask; None: the one of the weights.
            um_per_px: side of a pixel of the file on the retina, in micrometers.

        Returns:
            A `LesionMap`; `ok` is False where the image is no photograph of a fundus.

        Raises:
            OSError, TypeError, ValueError: the image cannot be read, or a bad number.
        """
        threshold = self.settings.threshold if threshold is None else threshold
        check_numbers(threshold, um_per_px)
        pixels = _read(image)
        result = LesionMap(
            np.zeros(pixels.shape[:2], np.float32),
            threshold,
            (),
            lesion=self.settings.lesion,
            um_per_px=um_per_px,
        )
        try:
            field = _field(pixels)
        except NoFundusError as error:
            return dataclasses.replace(result, ok=False, reason=str(error))
        refined = needs_classifier(self.settings.fusion)
        reported = self._reported(field)
        maps, region_threshold = self._maps(pixels, reported, refined=refined)
        fusion, weight = self.settings.fusion, self.settings.classifier_weight
        # A geometric mean is never 0.
        probability = fuse(maps, fusion, classifier_weight=weight) * reported
        enlarged = self.settings.scale.field_px / field_diameter(field)
        return dataclasses.replace(
            result,
            note=_COARSE.format(enlarged) if enlarged > _MOST_ENLARGED else "",
            probability=probability,
            lesions=find_lesions(probability, threshold, um_per_px),
            region_threshold=region_threshold,
        )


def _read(source: Source) -> np.ndarray:
    """Return an image as uint8 RGB."""
    name = describe(source)
    image = read_image(source)
    check_sides(image.shape[1], image.shape[0], name)
    return visible_rgb8(image)


def _field(image: np.ndarray) -> np.ndarray:
    """Return the field of a photograph, bool `[H, W]`; refuse what has none."""
    field = field_of_view(image)
    if problem := problem_of(image, field):
        raise NoFundusError(problem)
    return field


def _at_size(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a map by the half-pixel rule to (height, width)."""
    smaller = size[0] < values.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return cv2.resize(values, size[::-1], interpolation=how)


def load_lesion_detector(
    weights: weight_files.Weights | str | os.PathLike[str] | None = None,
    **changes: Any,
) -> LesionDetector:
    """Load a detector of lesions.

    Args:
        weights: a weights file, or the name of one that comes with the package; None
            takes "microaneurysms".
        **changes: fields of `rkd_jax.lesions.settings.DetectorSettings`, such as
            `tile` or `stride`, that differ from the weights'.

    Raises:
        FileNotFoundError: no such file.
        TypeError, ValueError: weights of another model, or a bad field.
    """
    if isinstance(weights, weight_files.Weights):
        return LesionDetector(weights, **changes)
    path = weight_files.find(DEFAULT if weights is None else weights)
    # `save` compared the shapes before it wrote the digest, which is checked.
    found = weight_files.load(path, check_shapes=False)
    return LesionDetector(found, where=str(path), **changes)

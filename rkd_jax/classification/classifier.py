"""Classify images: `load_classifier`, `Classifier`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import weights as weight_files
from rkd_jax.classification.gradcam import class_map, head_of, logits_of
from rkd_jax.classification.prepare import normalize, prepare, used_box
from rkd_jax.classification.result import Classification
from rkd_jax.classification.settings import settings_of
from rkd_jax.images.pictures import visible_rgb8
from rkd_jax.images.reading import read_image
from rkd_jax.metrics.calibration import probabilities_of
from rkd_jax.runtime.traced import kept_program
from rkd_jax.version import __version__

_ROUNDING = 0.01  # of fast matrix products, to the largest logit
Source = str | os.PathLike[str] | bytes | np.ndarray


class Outputs(NamedTuple):
    """What a network says of B images.

    Attributes:
        logits: float32 `[B, C]`.
        features: float32 `[B, d]`.
        last_map: float32 `[B, h, w, D]`.
    """

    logits: np.ndarray
    features: np.ndarray
    last_map: np.ndarray


class Classifier:
    """Gives images probabilities of classes.

    Args:
        weights: of a network for classes.
        where: names the weights in an error.

    Raises:
        ValueError: weights of another kind, or with bad settings.
    """

    def __init__(
        self, weights: weight_files.Weights, *, where: str = "weights"
    ) -> None:
        self.settings = settings_of(weights.preprocess, where)
        self.weights = weights
        self._where = where
        self._variables = jax.device_put(weights.variables)
        self._programs: dict[tuple[int, ...], Callable[..., Any]] = {}

    def facts(self) -> dict[str, Any]:
        """Return all that a result depends on besides the image, ready for JSON."""
        return {
            "model": self.weights.model,
            "weights_sha256": self.weights.sha256,
            "version": __version__,
        }

    @functools.cached_property
    def _module(self) -> Any:
        from rkd_jax import models

        return models.build(self.weights.model, **self.weights.options)

    def square_of(self, image: Source) -> np.ndarray:
        """Return an image as the network takes it, uint8 `[S, S, 3]`.

        Args:
            image: path, encoded bytes or array (grey or RGB, uint8, uint16 or float).

        Raises:
            OSError, TypeError, ValueError: it cannot be read.
        """
        return self._square(visible_rgb8(read_image(image)))

    def _square(self, image: np.ndarray) -> np.ndarray:
        return prepare(image, self.settings.size, self.settings.crop_field)

    def outputs(self, squares: np.ndarray) -> Outputs:
        """Return what the network says of images; compiled once for each B.

        Args:
            squares: uint8 `[B, S, S, 3]`, see `square_of`.

        Raises:
            ValueError: the network has other outputs than the weights have classes.
        """
        arguments = (self._variables, squares)
        if squares.shape not in self._programs:
            self._programs[squares.shape] = self._program(arguments)
        found = self._programs[squares.shape](*arguments)
        outputs = Outputs(*(np.asarray(part, np.float32) for part in found))
        count = len(self.settings.classes)
        if outputs.logits.shape != (len(squares), count):
            raise ValueError(
                f"{self._where}: the network has {outputs.logits.shape[1]} outputs for "
                f"{count} classes"
            )
        return outputs

    def _program(self, arguments: tuple[Any, ...]) -> Callable[..., Any]:
        mean, std = self.settings.mean, self.settings.std

        def apply(variables: Any, squares: jax.Array) -> tuple[jax.Array, ...]:
            found = self._module.apply(variables, normalize(squares, mean, std))
            return tuple(
                part.astype(jnp.float32)
                for part in (found.logits, found.features, found.last_map)
            )

        if ":" in self.weights.model:
            # A user's network: a kept program would outlive a change of its code.
            return jax.jit(apply)
        facts = {"classifier": [self.weights.model, self.weights.options, mean, std]}
        return kept_program(lambda: apply, arguments, facts)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Return probabilities, float64 `[B, C]`, of logits `[B, C]`.

        Those of the predicted classes are calibrated if the weights have a temperature.
        """
        return probabilities_of(logits, self.settings.temperature)

    def distances(self, features: np.ndarray) -> np.ndarray | None:
        """Return how far features `[B, d]` lie from the training data.

        Returns:
            `[B, 2]`: distance, and the share of the validation images that lie nearer;
            None where the weights do not know it.

        Raises:
            ValueError: the weights know other features than the network has.
        """
        embedding = self.settings.embedding
        if embedding is None:
            return None
        if features.shape[1:] != embedding.scale.shape:
            raise ValueError(
                f"{self._where}: the network has {features.shape[1]} features, the "
                f"embedding {len(embedding.scale)}"
            )
        found = embedding.distances(features)
        return np.stack([found, embedding.quantiles_of(found)], axis=1)

    def classify(self, image: Source, *, explain: bool | str = False) -> Classification:
        """Classify one image.

        Args:
            image: path, encoded bytes or array (grey or RGB, uint8, uint16 or float).
            explain: add a Grad-CAM of the predicted class (True), or of a class by its
                name.

        Raises:
            OSError, TypeError, ValueError: the image cannot be read, or no such class.
        """
        classes = self.settings.classes
        if isinstance(explain, str) and explain not in classes:
            raise ValueError(
                f"explain is {explain!r}; expected a class: {', '.join(classes)}"
            )
        pixels = visible_rgb8(read_image(image))
        outputs = self.outputs(self._square(pixels)[None])
        found = self.probabilities(outputs.logits)[0]
        explanation, explained = None, ""
        if explain:
            explained = explain if isinstance(explain, str) else classes[found.argmax()]
            heat = self._heat(outputs, classes.index(explained))
            explanation = self._at_file(heat, pixels)
        far = self.distances(outputs.features)
        distance, quantile = (None, None) if far is None else far[0].tolist()
        return Classification(
            classes,
            found,
            distance,
            quantile,
            image_size=(pixels.shape[1], pixels.shape[0]),
            explanation=explanation,
            explained=explained,
        )

    def _heat(self, outputs: Outputs, number: int) -> np.ndarray:
        """Return where the last map of one image speaks for a class, `[h, w]`."""
        head = head_of(self._variables["params"])
        # `head_of` goes by names: the network may do something else between them.
        logits = np.asarray(logits_of(head, jnp.asarray(outputs.last_map)))
        apart, size = np.ptp([logits, outputs.logits], axis=0), np.abs(outputs.logits)
        if apart.max() > _ROUNDING * size.max():
            raise ValueError(
                f"{self._where}: the logits of {self.weights.model!r} are no linear "
                "map of the mean of its last map; it cannot be explained"
            )
        return np.asarray(class_map(head, jnp.asarray(outputs.last_map[0]), number))

    def _at_file(self, heat: np.ndarray, image: np.ndarray) -> np.ndarray:
        """Return a map `[h, w]` at the size of the image, 0 beside the used part."""
        x0, y0, x1, y1 = used_box(image, self.settings.crop_field)
        part, size = (x1 - x0, y1 - y0), self.settings.size
        # A user's network need not say where its cells lie.
        grid = getattr(self._module, "last_map_grid", lambda: None)()
        matrix = np.zeros((2, 3))
        for axis, (pixels, cells) in enumerate(zip(part, heat.shape[::-1])):
            stride, first = grid or (size / cells, (size / cells - 1) / 2)
            matrix[axis, axis] = size / pixels / stride
            zero = (0.5 * size / pixels - 0.5 - first) / stride
            matrix[axis, 2] = zero  # the cell at pixel 0 of the part
        found = np.zeros(image.shape[:2], np.float32)
        found[y0:y1, x0:x1] = cv2.warpAffine(
            heat,
            matrix,
            part,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return found


def load_classifier(
    weights: weight_files.Weights | str | os.PathLike[str],
) -> Classifier:
    """Load a classifier.

    Args:
        weights: a weights file, or the name of one that comes with the package.

    Raises:
        FileNotFoundError: no such file.
        ValueError: weights of another kind.
    """
    if isinstance(weights, weight_files.Weights):
        return Classifier(weights)
    path = weight_files.find(weights)
    # `save` compared the shapes before it wrote the digest, which is checked.
    found = weight_files.load(path, check_shapes=False)
    return Classifier(found, where=str(path))

"""Find the points of faces with a trained network."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import losses, models, weights
from rkd_jax.images.reading import describe, read_image
from rkd_jax.synthetic.faces.points import COUNT
from rkd_jax.tasks.faces.crops import crop_face, grey

Array = jax.Array
PyTree = Any
BATCH = 16
_FACTS = {"size", "box_scale", "temperature"}  # of a weights file


@functools.lru_cache(maxsize=4)
def make_predictor(
    model: nn.Module, temperature: float
) -> Callable[[PyTree, Array], Array]:
    """Return a compiled `(variables, images [B, S, S, 1]) -> points [B, 98, 2]`.

    Points are decoded by soft-argmax of the logits divided by `temperature`.

    The same network gets the same function: later calls do not compile again.
    """

    def predict(variables: PyTree, images: Array) -> Array:
        answer = model.apply(variables, images, heads=("detector",))
        maps = jnp.moveaxis(answer.logits, -1, 1)
        return losses.soft_argmax(maps, temperature=temperature)

    return jax.jit(predict)


def in_batches(
    predict: Callable[[PyTree, Array], Array], variables: PyTree, images: np.ndarray
) -> np.ndarray:
    """Run a predictor on `[N, S, S, 1]` by batches; return `[N, 98, 2]` float32."""
    found = []
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        rows = np.pad(part, [(0, BATCH - len(part))] + [(0, 0)] * 3)
        found.append(np.asarray(predict(variables, rows))[: len(part)])
    return np.concatenate(found)


class FaceLandmarker:
    """A network that finds the 98 points of a face in a box.

    Args:
        path: weights file of the landmarks task.

    Attributes:
        weights: what the file holds.
        size: side of the network's crops, px.
        box_scale: side of the square that they show to the box's longer side.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no weights file, or one of another task.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.weights = weights.load(weights.find(path))
        model = models.build(self.weights.model, **self.weights.options)
        facts = self.weights.preprocess
        if model.out_channels != COUNT:
            raise ValueError(
                f"{os.fspath(path)}: a network with {model.out_channels} heatmaps, not "
                f"the {COUNT} of a face; train one with --config faces"
            )
        if lacking := sorted(_FACTS - facts.keys()):
            raise ValueError(
                f"{os.fspath(path)}: its preprocessing lacks {', '.join(lacking)}; "
                "give a file of `python -m rkd_jax.train --config faces`"
            )
        self.size, self.box_scale = int(facts["size"]), float(facts["box_scale"])
        self._variables = jax.device_put(self.weights.variables)
        self._predict = make_predictor(model, float(facts["temperature"]))

    def __call__(self, pictures: list[Any], boxes: Any) -> np.ndarray:
        """Return the points of one face in each picture.

        Args:
            pictures: paths, bytes or arrays, as `read_image` takes them.
            boxes: `[N, 4]` x_min, y_min, x_max, y_max in px of the pictures.

        Returns:
            `[N, 98, 2]` float64, (x, y) in px of the pictures.

        Raises:
            FileNotFoundError, ValueError: a picture cannot be read, or its box is
                empty or outside; the message names it.
        """
        crops = []
        for picture, box in zip(pictures, boxes, strict=True):
            image = grey(read_image(picture))
            try:
                crop = crop_face(image, box, self.size, scale=self.box_scale)
            except ValueError as error:
                raise ValueError(f"{describe(picture)}: {error}") from None
            crops.append(crop)
        if not crops:
            return np.zeros((0, COUNT, 2))
        images = np.stack([crop.image for crop in crops])[..., None]
        found = in_batches(self._predict, self._variables, images)
        return np.stack([c.to_picture(xy) for c, xy in zip(crops, found)])

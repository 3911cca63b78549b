"""What was found for an image: probabilities of classes, and how unusual it is."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """The result for an image.

    Attributes:
        classes: names of the classes.
        probabilities: float64 `[C]`, of the logits divided by the temperature of the
            weights, with the sum 1; see `docs/classification.md`.
        distance: to the nearest class of the training data among the features. What is
            typical depends on the network: see `distance_quantile`. None where the
            weights do not know it.
        distance_quantile: share of the validation images (the reference images of the
            weights) that lie nearer, in 0..1; None likewise.
        image_size: (width, height) of the image in px.
        explanation: Grad-CAM, float32 `[H, W]` in 0..1 at the size of the image, of
            `explained`; None if it was not asked for.
        explained: the class that the explanation is for; empty without one.
    """

    classes: tuple[str, ...]
    probabilities: np.ndarray
    distance: float | None
    distance_quantile: float | None
    image_size: tuple[int, int]
    explanation: np.ndarray | None = None
    explained: str = ""

    @property
    def predicted(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the predicted class."""
        return float(self.probabilities.max())

    def to_dict(self) -> dict[str, Any]:
        """Return all but the explanation, ready for JSON."""
        return {
            "predicted": self.predicted,
            "probability": self.probability,
            "probabilities": dict(
                zip(self.classes, self.probabilities.tolist(), strict=True)
            ),
            "distance": self.distance,
            "distance_quantile": self.distance_quantile,
            "image_size": list(self.image_size),
        }

"""How far an image lies from the training data, in the features of a classifier."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

POINTS = 101
"""Quantiles of the reference distances that are kept: 0, 1 %, ..., 100 %."""
_LEAST_SCALE = 0.1  # of the root mean square of all: a dead feature has none of its own
_DIGITS = 6


@dataclasses.dataclass(frozen=True, eq=False)
class Embedding:
    """Where the training images of each class lie among the features.

    The distance of an image is that to the nearest class mean: the root mean square of
    the differences, each feature divided by its spread within the classes.
    Training images lie at about 1, new ones of the same kind farther.

    Attributes:
        center: `[C, d]`, the mean of each class.
        scale: `[d]`, the standard deviation within the classes.
        quantiles: `[101]`, distances of reference images, rising.

    Source: Lee et al., NeurIPS 2018, with a diagonal covariance.
    """

    center: np.ndarray
    scale: np.ndarray
    quantiles: np.ndarray

    def __post_init__(self) -> None:
        """Check the arrays; raise a ValueError with the name of a bad one."""
        shapes = {"center": (*self.center.shape[:1], *self.scale.shape)}
        shapes |= {"scale": (self.scale.size,), "quantiles": (POINTS,)}
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(
                    f"embedding.{name} has the shape {array.shape}; expected finite "
                    f"numbers of {shape}"
                )
        if not (self.scale > 0).all() or (np.diff(self.quantiles) < 0).any():
            raise ValueError(
                "embedding: expected a scale above 0 and quantiles that rise"
            )

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distance `[N]` of features `[N, d]` to the nearest class mean.

        >>> flat = Embedding(np.zeros((1, 2)), np.ones(2), np.linspace(0, 4, 101))
        >>> flat.distances(np.array([[1.0, 1.0]])).tolist()
        [1.0]
        """
        return _distances(features, self.center, self.scale)

    def quantiles_of(self, distances: np.ndarray) -> np.ndarray:
        """Return the share of the reference images that lie nearer, in 0..1.

        >>> flat = Embedding(np.zeros((1, 2)), np.ones(2), np.linspace(0, 4, 101))
        >>> flat.quantiles_of(np.array([1.0, 9.0])).tolist()
        [0.25, 1.0]
        """
        return np.interp(distances, self.quantiles, np.linspace(0.0, 1.0, POINTS))

    def to_dict(self) -> dict[str, Any]:
        """Return the arrays as lists, ready for JSON, with six digits."""
        return {
            name: _rounded(array).tolist()
            for name, array in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Embedding:
        """Return what `to_dict` wrote.

        Raises:
            TypeError, ValueError: fields are missing or unknown, or bad numbers.
        """
        return cls(**{name: np.asarray(v, np.float64) for name, v in given.items()})


def fit_embedding(
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    reference: np.ndarray | None = None,
) -> Embedding:
    """Return where the training images of each class lie among the features.

    Args:
        features: `[N, d]` of the training images.
        labels: int `[N]` in 0..classes-1.
        classes: number of them.
        reference: `[M, d]`, whose distances give the quantiles; None: `features`.
            Training images lie nearer than new ones of the same kind, the more so the
            more a network over-fits: validation images are the better reference.

    Raises:
        ValueError: a class has no image.

    >>> features = np.array([[0.0, 1.0], [2.0, 1.0], [5.0, 1.0]])
    >>> fit_embedding(features, np.array([0, 0, 1]), 2).center.tolist()
    [[1.0, 1.0], [5.0, 1.0]]
    """
    features = np.asarray(features, np.float64)
    counts = np.bincount(labels, minlength=classes)
    if len(counts) > classes or not counts.all():
        raise ValueError(
            f"images of {np.count_nonzero(counts)} classes of {classes}; expected some "
            "of each"
        )
    center = np.zeros((classes, features.shape[1]))
    np.add.at(center, labels, features)
    center /= counts[:, None]
    spread = np.sqrt(((features - center[labels]) ** 2).mean(axis=0))
    typical = np.sqrt((spread**2).mean())
    scale = np.maximum(spread, _LEAST_SCALE * typical) if typical > 0 else spread + 1.0
    center, scale = _rounded(center), _rounded(scale)
    others = features if reference is None else np.asarray(reference, np.float64)
    shares = np.linspace(0.0, 1.0, POINTS)
    quantiles = np.quantile(_distances(others, center, scale), shares)
    return Embedding(center, scale, quantiles)


def _distances(
    features: np.ndarray, center: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    apart = [
        np.sqrt(np.mean(((features - one) / scale) ** 2, axis=1)) for one in center
    ]
    return np.min(apart, axis=0)


def _rounded(array: np.ndarray) -> np.ndarray:
    """Return numbers with six digits, as a weights file holds them."""
    text = np.char.mod(f"%.{_DIGITS}g", array)
    return text.astype(np.float64)

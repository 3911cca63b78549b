"""A smoothing thin-plate correction on top of another transform."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rkd_jax.registration.transforms.base import Transform
from rkd_jax.registration.transforms.checks import finite_array, positive
from rkd_jax.registration.transforms.residual import Corrected

_CHUNK = 1 << 10  # points at once: points x knots stay in the processor's cache


def thin_plate_terms(points: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Return (r^2 log r to each knot, 1, x, y) of points `[N, 2]`, `[N, K + 3]`.

    Example:
        >>> thin_plate_terms(np.array([[1.0, 0.0]]), np.zeros((1, 2))).tolist()
        [[0.0, 1.0, 1.0, 0.0]]
    """
    squared = _squared(points[:, None] - knots)
    bending = 0.5 * squared * np.log(np.where(squared > 0, squared, 1.0))
    return np.concatenate([bending, np.ones((len(points), 1)), points], axis=1)


def _squared(vectors: np.ndarray) -> np.ndarray:
    """Return the squared lengths of `[..., 2]`."""
    # Several times faster than a sum along the last axis, which is two long.
    x, y = vectors[..., 0], vectors[..., 1]
    return x * x + y * y


@dataclasses.dataclass(frozen=True, eq=False)
class ThinPlate(Corrected):
    """A base transform followed by a thin-plate spline, linear far from its knots.

    Attributes:
        base: what is corrected, from the moving to the fixed image.
        knots: `[K, 2]`, in units of `scale` pixels from `center`.
        weights: `[2, K + 3]` pixels: of r^2 log r to each knot, and of 1, x, y.
        center: (x, y) in pixels of the fixed image.
        scale: pixels to one unit.

    Example:
        >>> from rkd_jax.registration.transforms.homography import Homography
        >>> knots, weights = [[0.0, 0.0]], [[0, 2, 0, 0], [0, 0, 0, 0]]
        >>> plate = ThinPlate(Homography(np.eye(3)), knots, weights, [0, 0], 100.0)
        >>> plate.apply([[10.0, 20.0]]).tolist()
        [[12.0, 20.0]]

    Source: Bookstein, IEEE TPAMI 11(6), 1989; smoothing as in Wahba 1990.
    """

    base: Transform
    knots: np.ndarray
    weights: np.ndarray
    center: np.ndarray
    scale: float
    family: ClassVar[str] = "thin_plate"

    def __post_init__(self) -> None:
        if isinstance(self.base, Mapping):
            object.__setattr__(self, "base", Transform.from_dict(self.base))
        if not isinstance(self.base, Transform):
            raise ValueError(f"base: expected a transform, found {self.base!r:.60}")
        object.__setattr__(self, "_base", self.base)
        knots = _as_knots(self.knots)
        object.__setattr__(self, "knots", knots)
        for name, shape in (("weights", (2, len(knots) + 3)), ("center", (2,))):
            object.__setattr__(
                self, name, finite_array(name, getattr(self, name), shape)
            )
        object.__setattr__(self, "scale", positive("scale", self.scale))

    def _by_chunks(self, points: np.ndarray, columns: int, function: Any) -> np.ndarray:
        """Evaluate at points `[..., 2]`: `[..., columns]`."""
        flat = ((points - self.center) / self.scale).reshape(-1, 2)
        out = np.empty((len(flat), columns))
        for start in range(0, len(flat), _CHUNK):
            out[start : start + _CHUNK] = function(flat[start : start + _CHUNK])
        return out.reshape(*points.shape[:-1], columns)

    def _shift(self, points: np.ndarray) -> np.ndarray:
        return self._by_chunks(
            points, 2, lambda v: thin_plate_terms(v, self.knots) @ self.weights.T
        )

    def _slopes(self, points: np.ndarray) -> np.ndarray:
        def slopes(v: np.ndarray) -> np.ndarray:
            away = v[:, None] - self.knots[None]
            squared = _squared(away)
            # The gradient of r^2 log r is (2 log r + 1) times the way to the knot.
            steep = np.log(np.where(squared > 0, squared, 1.0)) + 1.0
            bending, linear = self.weights[:, :-3], self.weights[:, -2:]
            curved = np.einsum("ok,nk,nkd->nod", bending, steep, away, optimize=True)
            return (curved + linear).reshape(len(v), 4)

        flat = self._by_chunks(points, 4, slopes)
        return flat.reshape(*points.shape[:-1], 2, 2) / self.scale

    @property
    def curvature(self) -> float:
        """k of the base; 0 for a homography."""
        return float(getattr(self.base, "curvature", 0.0))

    def parameters(self) -> dict[str, Any]:
        return {
            "base": self.base.to_dict(),
            "knots": (self.center + self.scale * self.knots).tolist(),
            "weights": self.weights.tolist(),
            "center": self.center.tolist(),
            "scale": float(self.scale),
        }

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> ThinPlate:
        knots = _as_knots(parameters["knots"])
        center = finite_array("center", parameters["center"], (2,))
        scale = positive("scale", parameters["scale"])
        return cls(**{**parameters, "knots": (knots - center) / scale})


def _as_knots(value: Any) -> np.ndarray:
    """Return `[K, 2]`; JSON knows no empty `[0, 2]`."""
    empty = isinstance(value, list) and not value
    return np.zeros((0, 2)) if empty else finite_array("knots", value, (None, 2))

"""Smooth corrections on top of another transform, inverted by Newton's method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.registration.transforms.base import Transform, as_points
from rkd_jax.registration.transforms.checks import finite_array, positive
from rkd_jax.registration.transforms.homography import Homography
from rkd_jax.registration.transforms.radial import Radial

_NEWTON_ROUNDS = 30


def monomials(points: np.ndarray) -> np.ndarray:
    """Return (1, x, y, x^2, xy, y^2) of points `[..., 2]`, `[..., 6]`."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)


class Corrected(Transform):
    """A base transform followed by u -> u + shift(u) in the fixed image.

    Subclasses set `_base` and `scale` (pixels to one unit of the correction) and give
    `_shift` and `_slopes`.
    """

    _base: Transform
    scale: float

    def _shift(self, points: np.ndarray) -> np.ndarray:
        """Return the correction at points `[..., 2]`, in pixels."""
        raise NotImplementedError

    def _slopes(self, points: np.ndarray) -> np.ndarray:
        """Return its 2x2 derivatives, `[..., 2, 2]`."""
        raise NotImplementedError

    def projective(self) -> np.ndarray:
        return self._base.projective()

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        mapped = self._base.apply(points)
        return mapped + self._shift(mapped)

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        target = as_points(points)
        guess = target.copy()
        tolerance = 1e-9 * self.scale
        step_size = np.full(target.shape[:-1], np.inf)
        for _ in range(_NEWTON_ROUNDS):
            error = guess + self._shift(guess) - target
            jacobian = np.eye(2) + self._slopes(guess)
            a, b = jacobian[..., 0, 0], jacobian[..., 0, 1]
            c, d = jacobian[..., 1, 0], jacobian[..., 1, 1]
            determinant = a * d - b * c
            # A fold of the correction has no inverse beyond it.
            determinant = np.where(determinant > 1e-3, determinant, np.nan)
            step = np.stack(
                [
                    (d * error[..., 0] - b * error[..., 1]) / determinant,
                    (a * error[..., 1] - c * error[..., 0]) / determinant,
                ],
                axis=-1,
            )
            guess = guess - step
            step_size = np.abs(step).max(axis=-1)
            if not np.any(step_size > tolerance):
                break
        guess = np.where((step_size <= tolerance)[..., None], guess, np.nan)
        return self._base.apply_inverse(guess)


class _QuadraticShift(Corrected):
    """The correction residual @ (1, v_x, v_y, v_x^2, v_x v_y, v_y^2)."""

    residual: np.ndarray
    center: np.ndarray

    def _check(self) -> None:
        for name, shape in (("residual", (2, 6)), ("center", (2,))):
            object.__setattr__(
                self, name, finite_array(name, getattr(self, name), shape)
            )
        object.__setattr__(self, "scale", positive("scale", self.scale))

    def _shift(self, points: np.ndarray) -> np.ndarray:
        return monomials((points - self.center) / self.scale) @ self.residual.T

    def _slopes(self, points: np.ndarray) -> np.ndarray:
        v = (points - self.center) / self.scale
        x, y = v[..., 0], v[..., 1]
        zero, one = np.zeros_like(x), np.ones_like(x)
        by_x = np.stack([zero, one, zero, 2 * x, y, zero], axis=-1)
        by_y = np.stack([zero, zero, one, zero, x, 2 * y], axis=-1)
        slopes = np.stack([by_x @ self.residual.T, by_y @ self.residual.T], axis=-1)
        return slopes / self.scale

    def _shift_parameters(self) -> dict[str, Any]:
        return {
            "residual": self.residual.tolist(),
            "center": self.center.tolist(),
            "scale": float(self.scale),
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Quadratic(_QuadraticShift):
    """A homography followed by a quadratic correction of 12 parameters.

    With u = H(p) and v = (u - center) / scale, the point goes to
    u + residual @ (1, v_x, v_y, v_x^2, v_x v_y, v_y^2). The correction stands for
    the curvature of the retina; with residual 0 it is the homography.
    The inverse is found by Newton's method, started at the point itself.

    Example:
        >>> bent = Quadratic(np.eye(3), [[0, 0, 0, 2, 0, 0], [0] * 6], [0, 0], 100)
        >>> bent.apply([[50.0, 7.0]]).tolist()
        [[50.5, 7.0]]
        >>> bent.apply_inverse(bent.apply([[50.0, 7.0]])).round(6).tolist()
        [[50.0, 7.0]]
    """

    matrix: np.ndarray
    residual: np.ndarray
    center: np.ndarray
    scale: float
    family: ClassVar[str] = "quadratic"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_base", Homography(self.matrix))
        object.__setattr__(self, "matrix", self._base.matrix)
        self._check()

    def parameters(self) -> dict[str, Any]:
        return {"matrix": self.matrix.tolist(), **self._shift_parameters()}


@dataclasses.dataclass(frozen=True, eq=False)
class RadialQuadratic(_QuadraticShift):
    """A `Radial` followed by the quadratic correction of `Quadratic`.

    Example:
        >>> from rkd_jax.registration.transforms import Frame
        >>> frame = Frame(50, 50, 50)
        >>> base = Radial(np.eye(3), 0.1, frame, frame)
        >>> bent = RadialQuadratic(base, [[0, 0, 0, 2, 0, 0], [0] * 6], [0, 0], 100)
        >>> bent.apply([[50.0, 7.0]]).round(9).tolist()
        [[50.5, 7.0]]
    """

    base: Radial
    residual: np.ndarray
    center: np.ndarray
    scale: float
    family: ClassVar[str] = "radial_quadratic"

    def __post_init__(self) -> None:
        if isinstance(self.base, Mapping):
            object.__setattr__(self, "base", Transform.from_dict(self.base))
        if not isinstance(self.base, Radial):
            raise ValueError(f"base: expected a radial transform, found {self.base!r}")
        object.__setattr__(self, "_base", self.base)
        self._check()

    @property
    def curvature(self) -> float:
        """k of the radial part."""
        return self.base.curvature

    def parameters(self) -> dict[str, Any]:
        return {"base": self.base.to_dict(), **self._shift_parameters()}

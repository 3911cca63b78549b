"""The base class of transforms: saving, and warping an image through the inverse."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.registration.transforms.inverse_map import InverseMap, Layer

_FAMILIES: dict[str, type[Transform]] = {}


def as_points(points: Any) -> np.ndarray:
    """Return points as float64 `[..., 2]`; refuse other shapes."""
    points = np.asarray(points, np.float64)
    if points.ndim == 0 or points.shape[-1] != 2:
        raise ValueError(
            f"points: expected shape [..., 2] of (x, y), found {points.shape}"
        )
    return points


class Transform:
    """A map of points from the moving to the fixed image, in pixels of the files.

    Subclasses give `apply`, `apply_inverse`, `projective` and `parameters`; warping and
    saving are the same for all of them. A subclass with a `family` of its own can be
    read back by `from_dict`.

    Example:
        >>> from rkd_jax.registration.transforms import Homography
        >>> shift = Homography([[1, 0, 5], [0, 1, -2], [0, 0, 1]])
        >>> Transform.from_dict(shift.to_dict()).apply([[10.0, 10.0]]).tolist()
        [[15.0, 8.0]]
    """

    family: ClassVar[str]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "family" in vars(cls):
            _FAMILIES[cls.family] = cls

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        """Map moving points `[..., 2]` (x, y) to the fixed image, float64."""
        raise NotImplementedError

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        """Map fixed points `[..., 2]` to the moving image; NaN where undefined."""
        raise NotImplementedError

    def projective(self) -> np.ndarray:
        """Return the matrix `[3, 3]` of pixels, without distortion and correction."""
        raise NotImplementedError

    def parameters(self) -> dict[str, Any]:
        """Return what `__init__` takes, as lists and floats."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description; `from_dict` reads it back."""
        return {
            "family": self.family,
            "direction": "moving_to_fixed",
            **self.parameters(),
        }

    @staticmethod
    def from_dict(description: dict[str, Any]) -> Transform:
        """Rebuild the transform that `to_dict` described.

        Raises:
            ValueError: if the family is unknown.
        """
        description = dict(description)
        family = description.pop("family", None)
        description.pop("direction", None)
        if family not in _FAMILIES:
            raise ValueError(
                f"family: expected one of {sorted(_FAMILIES)}, found {family!r}"
            )
        return _FAMILIES[family](**description)

    def warp(
        self,
        image: np.ndarray,
        out_size: tuple[int, int],
        *,
        interpolation: str = "linear",
        fill: float = 0.0,
    ) -> np.ndarray:
        """Draw the moving image in the fixed frame.

        Args:
            image: `[H, W]` or `[H, W, C]` uint8, uint16 or float; with "nearest" of any
                dtype, as labels are.
            out_size: (height, width) of the fixed frame.
            interpolation: "nearest", "linear" or "cubic".
            fill: value outside the moving image.

        Returns:
            `[H', W'(, C)]` with the dtype of `image`.
        """
        image = np.asarray(image)
        inverse = InverseMap(self.apply_inverse, out_size, image.shape[:2])
        return inverse.draw([Layer(image, interpolation, fill)])[0]

    def overlap(
        self,
        in_size: tuple[int, int],
        out_size: tuple[int, int],
        *,
        margin_px: float = 0.0,
    ) -> np.ndarray:
        """Return bool `[H', W']`: fixed pixels that show a part of the moving image."""
        inverse = InverseMap(
            self.apply_inverse, out_size, in_size, margin_px=-margin_px
        )
        limit_x, limit_y = in_size[1] - 1 - margin_px, in_size[0] - 1 - margin_px
        out = np.empty(out_size, bool)
        for rows, x, y in inverse.strips():
            out[rows] = (x >= margin_px) & (x <= limit_x)
            out[rows] &= (y >= margin_px) & (y <= limit_y)
        return out

"""What all transforms share: saving, and warping an image through the inverse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.registration.transforms.inverse_map import InverseMap, Layer

if TYPE_CHECKING:
    from rkd_jax.registration.transforms.homography import Homography


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

    Subclasses give `apply`, `apply_inverse`, `parameters` and a `family` name;
    warping and saving are the same for all of them.
    """

    family: ClassVar[str]

    def apply(self, points: npt.ArrayLike) -> np.ndarray:
        """Map moving points `[..., 2]` (x, y) to the fixed image, float64."""
        raise NotImplementedError

    def apply_inverse(self, points: npt.ArrayLike) -> np.ndarray:
        """Map fixed points `[..., 2]` to the moving image; NaN where undefined."""
        raise NotImplementedError

    def projective(self) -> Homography:
        """Return the projective part, in pixels: without curvature and correction."""
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
        from rkd_jax.registration.transforms import TRANSFORMS

        description = dict(description)
        family = description.pop("family", None)
        description.pop("direction", None)
        if family not in TRANSFORMS:
            raise ValueError(
                f"family: expected one of {sorted(TRANSFORMS)}, found {family!r}"
            )
        return TRANSFORMS[family](**description)

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
            image: `[H, W]` or `[H, W, C]` uint8, uint16 or float.
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

"""The base class of transforms: saving, and warping an image through the inverse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rkd_jax.registration.transforms.checks import check_keys
from rkd_jax.registration.transforms.inverse_map import InverseMap, Layer

_FAMILIES: dict[str, type[Transform]] = {}
_UNITS = "px"


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
        """Return the parameters in pixels of the files, as lists and floats.

        They have the names of the fields; `from_parameters` reads them back.
        """
        raise NotImplementedError

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Transform:
        """Build the transform from what `parameters` returns."""
        return cls(**parameters)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready description in pixels; `from_dict` reads it back.

        `docs/transform_file.md` has the formulas of every family.
        """
        return {
            "family": self.family,
            "direction": "moving_to_fixed",
            "units": _UNITS,
            **self.parameters(),
        }

    @staticmethod
    def from_dict(description: Mapping[str, Any]) -> Transform:
        """Rebuild the transform that `to_dict` described.

        A description without "units" is of an earlier version, whose numbers are the
        fields of the class; it is rebuilt exactly.

        Raises:
            ValueError: if the family is unknown, or a parameter is missing or no
                finite number.
        """
        if not isinstance(description, Mapping):
            raise ValueError(
                "expected a transform, an object with family and parameters, found "
                f"{description!r:.60}"
            )
        parameters = dict(description)
        family = parameters.pop("family", None)
        direction = parameters.pop("direction", "moving_to_fixed")
        units = parameters.pop("units", None)
        if not isinstance(family, str) or family not in _FAMILIES:
            raise ValueError(
                f"family: expected one of {sorted(_FAMILIES)}, found {family!r}"
            )
        for name, value, known in (
            ("direction", direction, ("moving_to_fixed",)),
            ("units", units, (_UNITS, None)),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected {known[0]!r}, found {value!r}")
        cls = _FAMILIES[family]
        check_keys(cls, parameters)
        try:
            return (
                cls(**parameters) if units is None else cls.from_parameters(parameters)
            )
        except TypeError as error:  # a text or an object in place of a number
            raise ValueError(f"{family}: expected numbers ({error})") from error

    def warp(
        self,
        image: np.ndarray,
        out_size: tuple[int, int],
        *,
        inverse: bool = False,
        interpolation: str = "linear",
        fill: float = 0.0,
    ) -> np.ndarray:
        """Draw the moving image in the fixed frame, or with `inverse` the other way.

        Args:
            image: `[H, W]` or `[H, W, C]` of the moving image (with `inverse`: of the
                fixed one), of any numeric dtype.
            out_size: (height, width) of the frame to draw in.
            inverse: draw the fixed image in the moving frame.
            interpolation: "nearest", "linear" or "cubic".
            fill: value outside the image.

        Returns:
            `[H', W'(, C)]` with the dtype of `image`.
        """
        image = np.asarray(image)
        way_back = self.apply if inverse else self.apply_inverse
        drawer = InverseMap(way_back, out_size, image.shape[:2])
        return drawer.draw([Layer(image, interpolation, fill)])[0]

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

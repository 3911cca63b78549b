"""Transforms of points from the moving to the fixed image, float64, both ways."""

from rkd_jax.registration.transforms.base import Transform
from rkd_jax.registration.transforms.homography import Homography
from rkd_jax.registration.transforms.radial import Frame, Radial
from rkd_jax.registration.transforms.residual import (
    Quadratic,
    RadialQuadratic,
    monomials,
)
from rkd_jax.registration.transforms.thin_plate import ThinPlate

__all__ = [
    "TRANSFORMS",
    "Frame",
    "Homography",
    "Quadratic",
    "Radial",
    "RadialQuadratic",
    "ThinPlate",
    "Transform",
    "monomials",
]

TRANSFORMS: dict[str, type[Transform]] = {
    cls.family: cls
    for cls in (Homography, Radial, Quadratic, RadialQuadratic, ThinPlate)
}

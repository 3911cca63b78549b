"""Transforms of points from the moving to the fixed image, float64, both ways.

One family a file. Importing this package imports all of them, so that
`Transform.from_dict` knows each.
"""

from rkd_jax.registration.transforms.base import Transform
from rkd_jax.registration.transforms.frame import Frame
from rkd_jax.registration.transforms.homography import Homography
from rkd_jax.registration.transforms.radial import Radial
from rkd_jax.registration.transforms.residual import (
    Quadratic,
    RadialQuadratic,
    monomials,
)
from rkd_jax.registration.transforms.thin_plate import ThinPlate

__all__ = [
    "Frame",
    "Homography",
    "Quadratic",
    "Radial",
    "RadialQuadratic",
    "ThinPlate",
    "Transform",
    "monomials",
]

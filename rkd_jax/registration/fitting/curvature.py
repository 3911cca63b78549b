"""What geometry expects of k, the radial distortion of a retinal photograph.

k has the form of the coefficient k1 of radial lens distortion: u goes to
u (1 + k |u|^2) (`transforms.radial`). The name of the class stands for its main cause.

The fundus is a bowl, nearly a sphere of radius R = 12 mm, and the eye turns about its
middle. Seen from there, a turn is a homography: so a photograph must first be carried
to the central projection from the middle, tan(phi) of the angle phi there.

A camera in front of the pupil sees the angle theta at the nodal point, d = 5 mm in
front of the middle (17 mm from the fovea), where

    tan(theta) = R sin(phi) / (d + R cos(phi)).

To third order, with a = R / (R + d), tan(phi) is proportional to
tan(theta) (1 + (1 - a) tan(theta)^2 / (2 a^2)). If the film shows tan(theta) (a
perspective camera), a field of 45 degrees has k = .05 at its rim; if it shows theta
itself (equidistant, as the makers say of fundus cameras: a disc diameter measures the
same everywhere), theta^2 / 3 comes on top and k = .11. k grows with the square of the
field: 30 degrees give a little less than half of it, 60 degrees twice as much.

The prior for an unknown camera is the mean of both at 45 degrees. It is so broad that
30 and 60 degrees lie within it.
"""

from __future__ import annotations

import dataclasses
import math

RETINA_MM = 12.0
NODAL_MM = 5.0  # from the middle of the eye to the nodal point: 17 mm from the fovea
PROJECTIONS = ("perspective", "equidistant")


def expected_curvature(
    field_deg: float = 45.0, *, projection: str = "equidistant"
) -> float:
    """Derive k of a camera from its field: the stretch at the rim of the field, less 1.

    Args:
        field_deg: full angle of view, above 0 and below 120 degrees.
        projection: of the camera, "perspective" or "equidistant".

    Returns:
        k such that (1 + k r^2) is exact at the centre and at the rim, r = 1.

    Raises:
        ValueError: an angle out of range, or another projection.

    Example:
        >>> round(expected_curvature(45), 3)
        0.109
        >>> round(expected_curvature(45, projection="perspective"), 3)
        0.051

    Source: schematic eye (Gullstrand): radius of the retina 12 mm, nodal point 17 mm
    in front of the fovea; the derivation is at the top of this file.
    """
    if not 0 < field_deg < 120:
        raise ValueError(
            f"field_deg: expected above 0 and below 120, found {field_deg}"
        )
    if projection not in PROJECTIONS:
        raise ValueError(
            f"projection: expected one of {PROJECTIONS}, found {projection!r}"
        )
    theta = math.radians(field_deg / 2)
    # The triangle of nodal point, middle of the eye and retina (law of sines).
    phi = theta + math.asin(NODAL_MM / RETINA_MM * math.sin(theta))
    near_axis = (RETINA_MM + NODAL_MM) / RETINA_MM  # tan(phi) / tan(theta) there
    shown = theta if projection == "equidistant" else math.tan(theta)
    return math.tan(phi) / (near_axis * shown) - 1.0


@dataclasses.dataclass(frozen=True)
class Curvature:
    """What is known of k before any match of a pair is used.

    Attributes:
        mean: expected k, 0 or more.
        sd: its standard deviation; 0 takes the mean as given.
        source: where it comes from, for the record.

    Example:
        >>> Curvature.prior().source
        'prior'
    """

    mean: float
    sd: float
    source: str = "given"

    def __post_init__(self) -> None:
        if not (self.mean >= 0 and self.sd >= 0 and math.isfinite(self.mean + self.sd)):
            raise ValueError(
                f"Curvature: expected finite mean and sd of at least 0, found "
                f"{self.mean} and {self.sd}"
            )

    @classmethod
    def prior(cls) -> Curvature:
        """Return the prior for a camera of which nothing is known."""
        mean = sum(expected_curvature(projection=p) for p in PROJECTIONS) / 2
        return cls(mean, 0.06, "prior")

"""Names of the families of transforms; without JAX, for the arguments of commands."""

FAMILIES = ("homography", "radial", "quadratic", "radial_quadratic", "thin_plate")
"""The simplest first."""
AUTO = "auto"
CHOICES = (AUTO, *FAMILIES)

"""An affine transform in the form of QuPath.

QuPath's JSON of a Java `AffineTransform` has the keys m00 to m12 and ignores others.
In QuPath the center of the first pixel is at (0.5, 0.5); with us it is at (0, 0).

Source: `AffineTransformTypeAdapter` in `GsonTools` of https://github.com/qupath/qupath.
"""

from __future__ import annotations

import json

import numpy as np

from rkd_jax.registration.approximation import best_affine
from rkd_jax.registration.mapped import Mapped

_ORDER = ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2))
_HALF = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])


def affine(mapped: Mapped) -> str:
    """Return the affine transform nearest to a registered pair's, with its residual.

    Args:
        mapped: the pair.

    Raises:
        ValueError: the two photographs share too little to fit one.
    """
    found = best_affine(mapped)
    if found is None:
        raise ValueError(
            "qupath: no affine transform fits, as the photographs share too little; "
            "leave this format out"
        )
    matrix = _HALF @ found.matrix @ np.linalg.inv(_HALF)
    content = {
        **{f"m{row}{column}": matrix[row, column] for row, column in _ORDER},
        "direction": "moving_to_fixed",
        "about": "x_fixed = m00 x + m01 y + m02, y_fixed = m10 x + m11 y + m12, in "
        "pixels, the center of the first pixel at (0.5, 0.5). The registration is not "
        "affine: residual_px is how far off this is, in pixels of the fixed image.",
        "residual_px": found.residual(),
    }
    return json.dumps(content, indent=2) + "\n"

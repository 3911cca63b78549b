"""Results of pairs, and expected errors, that a test chooses."""

import numpy as np

from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Homography


def made_registration(fixed_size, moving_size=None, *, points=None, **changes):
    """Return an accepted registration of two photographs.

    Args:
        fixed_size: (height, width) of the fixed file.
        moving_size: of the moving one; as the fixed one.
        points: `[M, 2]` matches of the fixed file, all inliers; by default 12 at random
            places, every second one an inlier.
        changes: fields of the registration; by default the transform moves nothing.
    """
    moving_size = fixed_size if moving_size is None else moving_size
    if points is None:
        rng = np.random.default_rng(0)
        points, moving_points = (
            rng.uniform(0, 1, (12, 2)) * (np.array(size[::-1]) - 1)
            for size in (fixed_size, moving_size)
        )
        inliers = np.arange(12) % 2 == 0
    else:
        points = moving_points = np.asarray(points, float).reshape(-1, 2)
        inliers = np.ones(len(points), bool)
    fields = {
        "ok": True,
        "reason": "",
        "transform": Homography(np.eye(3)),
        "matches": Matches(points, moving_points, np.ones(len(points), np.float32)),
        "inliers": inliers,
        "confidence": 0.9,
        "evidence": {},
        "fixed_size": fixed_size,
        "moving_size": moving_size,
    }
    return Registration(**{**fields, **changes})


def made_error(size, expected=lambda x, y: 1.0 + 0 * x, nodes=9):
    """Return an expected error given by a function of (x, y) in px, known everywhere.

    NaN of the function stands for "not known".
    """
    height, width = size
    x, y = np.linspace(0, width - 1, nodes), np.linspace(0, height - 1, nodes)
    values = expected(*np.meshgrid(x, y))
    return ErrorMap(x, y, values, 2 * values, np.ones(values.shape, bool))

"""Registrations with transforms of every family, and their `transform.json`."""

import numpy as np

from rkd_jax.registration.files import transform_file
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import (
    Frame,
    Homography,
    Quadratic,
    Radial,
    RadialQuadratic,
    ThinPlate,
)

FIXED_SIZE, MOVING_SIZE = (280, 300), (260, 261)


def registration(transform, *, ok=True, matches=None, error_map=None):
    """Return a registration with 20 matches of which 15 are inliers."""
    if matches is None:
        rng = np.random.default_rng(0)
        moving = rng.uniform(40, 200, (20, 2))
        fixed = moving if transform is None else transform.apply(moving)
        matches = Matches(fixed, moving, rng.random(20, np.float32))
    return Registration(
        ok=ok,
        reason="" if ok else "the evidence is weak",
        transform=transform,
        matches=matches,
        inliers=np.arange(len(matches)) % 4 > 0,
        confidence=0.87654,
        evidence={"support": 15.0, "asymmetry_px": np.inf},
        fixed_size=FIXED_SIZE,
        moving_size=MOVING_SIZE,
        error_map=error_map,
    )


def write(folder, found, **more):
    """Write the `transform.json` of a registration; return its path."""
    content = transform_file.describe(found, ("f.png", "m.png"), {"a": 1}, more)
    path = folder / "transform.json"
    path.write_text(transform_file.to_text(content), encoding="utf-8")
    return path


def drawn(family, seed):
    """Return a transform with parameters drawn at random, as fits have them."""
    rng = np.random.default_rng(seed)
    turn = np.eye(3) + rng.uniform(-0.08, 0.08, (3, 3)) * [
        [1, 1, 300],
        [1, 1, 300],
        [2e-3, 2e-3, 0],
    ]
    frames = [Frame(*rng.uniform(120, 160, 2), rng.uniform(100, 180)) for _ in range(2)]
    tilt = np.eye(3) + rng.uniform(-0.08, 0.08, (3, 3))
    radial = Radial(tilt, rng.uniform(0, 0.3), *frames)
    residual, center = rng.normal(0, 2, (2, 6)), rng.uniform(100, 180, 2)
    scale = rng.uniform(80, 150)
    if family == "homography":
        return Homography(turn)
    if family == "radial":
        return radial
    if family == "quadratic":
        return Quadratic(turn, residual, center, scale)
    if family == "radial_quadratic":
        return RadialQuadratic(radial, residual, center, scale)
    count = int(rng.integers(0, 12))
    knots, weights = rng.uniform(-1, 1, (count, 2)), rng.normal(0, 1, (2, count + 3))
    base = radial if seed % 2 else Homography(turn)
    return ThinPlate(base, knots, weights, center, scale)

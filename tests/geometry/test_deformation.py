"""Bent maps against OpenCV and NumPy, their own inverse and their derivatives."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.geometry.deformation import (
    MAX_SLOPE,
    deform,
    flat,
    random_deformation,
    undeform,
)
from rkd_jax.geometry.homography import apply_homography, random_homography

CENTER = np.array([150.0, 120.0], np.float32)
GRID = np.stack(np.meshgrid(np.arange(0.0, 300, 20), np.arange(0.0, 240, 20)), -1)
GRID = GRID.astype(np.float32)


@jax.jit
def draw(seed):
    k_h, k_bend = jax.random.split(jax.random.key(seed))
    h = random_homography(
        k_h,
        (240, 300),
        rotation_deg=20.0,
        scale=(0.8, 1.2),
        shift_frac=0.2,
        perspective=0.03,
    )
    return random_deformation(
        k_bend,
        h,
        center=CENTER,
        unit_px=150.0,
        k=(0.0, 0.2),
        elastic=0.05,
        wavelength=(0.3, 1.0),
    )


def test_the_lens_bends_about_its_center_in_its_unit():
    k, unit = 0.2, 150.0
    lens = (jnp.asarray(CENTER), jnp.float32(unit), jnp.float32(k))
    h = np.array([[1.1, 0.05, 3.0], [-0.04, 0.95, -5.0], [1e-4, 0, 1]], np.float32)
    offset = GRID.astype(np.float64) - CENTER
    radius = np.hypot(*np.moveaxis(offset, -1, 0))[..., None] / unit
    bent = CENTER + offset * (1 + k * radius**2)
    seen = cv2.perspectiveTransform(bent, h.astype(np.float64)) - CENTER
    far = np.hypot(*np.moveaxis(seen, -1, 0))[..., None] / unit
    near = np.vectorize(lambda r: np.roots([k, 0, 1, -r]).real[-1])(far)
    got = deform(flat(h).replace(lens=lens), GRID)
    np.testing.assert_allclose(got, CENTER + seen * near / far, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_undeform_inverts_deform(seed):
    warp = draw(seed)
    np.testing.assert_allclose(undeform(warp, deform(warp, GRID)), GRID, atol=5e-3)


def test_draws_never_fold_and_differ():
    slopes = jax.jit(
        lambda seed: jax.vmap(jax.jacfwd(lambda xy: deform(draw(seed), xy)))(
            GRID.reshape(-1, 2)
        )
    )
    results = [np.asarray(slopes(seed)) for seed in range(40)]
    assert min(np.linalg.det(s).min() for s in results) > 0.1
    strengths = [float(draw(seed).lens[2]) for seed in range(40)]
    assert min(strengths) >= 0
    assert 0.15 < max(strengths) <= 0.2
    for seed in range(40):
        warp = draw(seed)
        steepest = np.sum(
            np.linalg.norm(warp.amplitude, axis=1)
            * np.linalg.norm(warp.frequency, axis=1)
        )
        assert steepest <= MAX_SLOPE * (1 + 1e-5)


def test_a_flat_deformation_is_its_homography():
    h = draw(0).h
    np.testing.assert_array_equal(deform(flat(h), GRID), apply_homography(h, GRID))
    back = undeform(flat(h), apply_homography(h, GRID))
    np.testing.assert_allclose(back, GRID, atol=2e-3)


def test_ranges_that_make_no_sense_are_refused():
    options = {"center": CENTER, "unit_px": 150.0, "elastic": 0.0}
    eye, key = jnp.eye(3, dtype=jnp.float32), jax.random.key(0)
    with pytest.raises(ValueError, match="k is"):
        random_deformation(key, eye, k=(-0.1, 0.1), wavelength=(1.0, 1.0), **options)
    with pytest.raises(ValueError, match="wavelength"):
        random_deformation(key, eye, k=(0.0, 0.1), wavelength=(0.0, 1.0), **options)

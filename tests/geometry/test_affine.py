"""Upstream's affine draws against a NumPy derivation, torch, and known numbers."""

from pathlib import Path

import freeze_references as frozen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.geometry.affine import (
    AFFINE_PRESETS,
    AffineDraw,
    AffinePreset,
    affine_matrix,
    draw_affine,
    upstream_affine,
)
from rkd_jax.geometry.homography import apply_homography, inverse
from rkd_jax.geometry.warp import pixel_grid, warp

REFERENCES = Path(__file__).parents[1] / "references" / "affine_warps.npz"
# Compiled once per shape; the first test also runs uncompiled.
fast_matrix = jax.jit(affine_matrix, static_argnums=1, static_argnames="halve_shift")
fast_warp = jax.jit(warp, static_argnums=2)
fast_inverse = jax.jit(inverse)


def make(angle: float, tx: float, ty: float, scale: float) -> AffineDraw:
    return AffineDraw(jnp.float32(angle), jnp.array([tx, ty]), jnp.float32(scale))


@pytest.mark.parametrize("size", frozen.WARP_SIZES)
@pytest.mark.parametrize("numbers", frozen.DRAWS)
def test_reads_where_upstream_reads(numbers, size, maybe_jit):
    height, width = size
    y, x = np.mgrid[:height, :width].astype(float)
    normalized = np.stack(
        [2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1, np.ones(size)]
    )
    read = np.tensordot(frozen.upstream_theta(numbers, size), normalized, 1)
    expected = np.stack(
        [(read[0] + 1) / 2 * (width - 1), (read[1] + 1) / 2 * (height - 1)], -1
    )
    h = maybe_jit(lambda draw: affine_matrix(draw, size))(make(*numbers))
    got = apply_homography(inverse(h), pixel_grid(size))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("size", frozen.WARP_SIZES)
@pytest.mark.parametrize("number", range(len(frozen.DRAWS)))
def test_warps_as_torch(number, size):
    image = frozen.images_by_rule(size)[0, ..., 0]
    h = fast_matrix(make(*frozen.DRAWS[number]), size)
    with np.load(REFERENCES) as stored:
        for direction, used in (("there", fast_inverse(h)), ("back", h)):
            key = f"{size[0]}x{size[1]}/{number}/{direction}"
            warped = frozen.thin(key, fast_warp(image, used, size), frozen.MOST_OUTPUTS)
            np.testing.assert_allclose(warped, stored[key], atol=2e-5)


def test_content_scale_and_angle_of_the_widest_draw():
    h = np.asarray(fast_matrix(make(15.0, 0.0, 0.0, 1.35), (768, 768)))
    np.testing.assert_allclose(np.sqrt(np.linalg.det(h[:2, :2])), 1.314, atol=5e-4)
    np.testing.assert_allclose(
        np.rad2deg(np.arctan2(h[1, 0], h[0, 0])), 19.9, atol=0.05
    )
    np.testing.assert_allclose(h[0, 0], h[1, 1], rtol=1e-5)
    np.testing.assert_allclose(h[0, 1], -h[1, 0], rtol=1e-5)


def test_scale_on_cosines_only_shears_a_non_square_image():
    a = np.asarray(fast_matrix(make(15.0, 0.0, 0.0, 1.35), (400, 800)))[:2, :2]
    assert abs(a[:, 0] @ a[:, 1]) > 0.05


@pytest.mark.parametrize(("halve", "expected"), [(True, 9.9), (False, 20.0)])
def test_shift_is_halved_only_on_request(halve, expected):
    draw = make(0.0, 20.0, 0.0, 1.0)
    h = affine_matrix(draw, (100, 100), halve_shift=halve)
    np.testing.assert_allclose(h[:2, 2], [expected, 0.0], atol=1e-4)


@pytest.mark.parametrize("name", sorted(AFFINE_PRESETS))
def test_draws_fill_their_ranges_and_no_more(name):
    size = (100, 200)
    ranges = AFFINE_PRESETS[name]
    keys = jax.random.split(jax.random.key(1), 4000)
    angle, shift, scale = (
        np.asarray(v) for v in jax.vmap(lambda k: draw_affine(k, size, name))(keys)
    )
    limit = ranges.rotation_deg
    assert 0.97 * limit < angle.max() <= limit
    assert -limit <= angle.min() < -0.97 * limit
    low, high = ranges.scale
    assert low <= scale.min() < low + 0.02
    assert high - 0.02 < scale.max() <= high
    np.testing.assert_array_equal(shift, np.round(shift))
    np.testing.assert_array_equal(
        np.abs(shift).max(axis=0), np.array(size) * ranges.shift_frac
    )


def test_the_key_decides():
    size = (50, 50)
    one = upstream_affine(jax.random.key(1), size)
    np.testing.assert_array_equal(one, upstream_affine(jax.random.key(1), size))
    assert (
        np.asarray(one) != np.asarray(upstream_affine(jax.random.key(2), size))
    ).any()


def test_own_ranges_and_unknown_presets():
    still = AffinePreset(0.0, 0.0, (1.0, 1.0))
    h = upstream_affine(jax.random.key(0), (32, 32), preset=still)
    np.testing.assert_allclose(h, np.eye(3), atol=1e-6)
    with pytest.raises(ValueError, match=r"'poster'.*descriptor.*detector"):
        upstream_affine(jax.random.key(0), (32, 32), preset="poster")

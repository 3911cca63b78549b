"""Upstream's affine draws against a NumPy derivation, torch, and known numbers."""

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
    true_similarity,
    upstream_affine,
)
from rkd_jax.geometry.homography import apply_homography, inverse
from rkd_jax.geometry.warp import pixel_grid, warp

# Compiled once per shape; the first test also runs uncompiled.
fast_matrix = jax.jit(affine_matrix, static_argnums=1, static_argnames="halve_shift")
fast_warp = jax.jit(warp, static_argnums=2)
fast_inverse = jax.jit(inverse)


def make(angle: float, tx: float, ty: float, scale: float) -> AffineDraw:
    return AffineDraw(jnp.float32(angle), jnp.array([tx, ty]), jnp.float32(scale))


def theta(draw: AffineDraw, size) -> np.ndarray:
    """Upstream's matrix, normalized output -> normalized input."""
    height, width = size
    alpha = -float(draw.angle_deg) * np.pi / 180.0
    scale = float(draw.scale)
    tx, ty = np.asarray(draw.shift_px, float)
    return np.array(
        [
            [np.cos(alpha) / scale, -np.sin(alpha), -tx / height],
            [np.sin(alpha), np.cos(alpha) / scale, -ty / width],
        ]
    )


DRAWS = [
    make(15.0, 12.0, -7.0, 1.35),
    make(-8.0, 0.0, 9.0, 0.9),
    make(0.0, 5.0, 5.0, 1.0),
]


@pytest.mark.parametrize("size", [(40, 40), (40, 56)])
@pytest.mark.parametrize("draw", DRAWS)
def test_reads_where_upstream_reads(draw, size, maybe_jit):
    height, width = size
    y, x = np.mgrid[:height, :width].astype(float)
    normalized = np.stack(
        [2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1, np.ones(size)]
    )
    read = np.tensordot(theta(draw, size), normalized, 1)
    expected = np.stack(
        [(read[0] + 1) / 2 * (width - 1), (read[1] + 1) / 2 * (height - 1)], -1
    )
    h = maybe_jit(lambda draw: affine_matrix(draw, size))(draw)
    got = apply_homography(inverse(h), pixel_grid(size))
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("size", [(40, 40), (40, 56)])
@pytest.mark.parametrize("draw", DRAWS)
def test_warps_as_torch(draw, size):
    torch = pytest.importorskip("torch", reason="parity with torch's grid_sample")
    functional = torch.nn.functional
    image = np.random.default_rng(0).random(size).astype(np.float32)
    matrix = theta(draw, size)
    shape = (1, 1, *size)

    def through(matrix) -> np.ndarray:
        grid = functional.affine_grid(
            torch.tensor(matrix, dtype=torch.float32)[None], shape, align_corners=True
        )
        image_t = torch.tensor(image)[None, None]
        return functional.grid_sample(image_t, grid, align_corners=True)[0, 0].numpy()

    h = fast_matrix(draw, size)
    np.testing.assert_allclose(
        fast_warp(image, fast_inverse(h), size), through(matrix), atol=2e-5
    )
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    np.testing.assert_allclose(fast_warp(image, h, size), through(back), atol=2e-5)


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


def test_true_similarity_does_what_the_draw_says():
    key, size = jax.random.key(5), (60, 90)
    angle, shift, scale = (np.asarray(v) for v in draw_affine(key, size, "detector"))
    h = np.asarray(true_similarity(key, size))
    turn = np.deg2rad(angle)
    expected = scale * np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    np.testing.assert_allclose(h[:2, :2], expected, atol=1e-5)
    center = np.array([44.5, 29.5], np.float32)
    np.testing.assert_allclose(apply_homography(h, center), center + shift, atol=1e-3)


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

"""Homographies against NumPy, OpenCV, and what must hold for every draw."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.geometry.homography import (
    apply_homography,
    compose,
    inverse,
    random_homography,
    translation,
)

WIDE = {
    "rotation_deg": 28.6,
    "scale": (0.74, 1.35),
    "shift_frac": 0.16,
    "perspective": 0.04,
}
SIZE = (96, 160)


def draws(count: int, size=SIZE, **ranges) -> np.ndarray:
    keys = jax.random.split(jax.random.key(3), count)
    draw = sampler(size, tuple(sorted(ranges.items())))
    return np.asarray(draw(keys), np.float64)


@functools.cache
def sampler(size, ranges):
    return jax.jit(jax.vmap(lambda k: random_homography(k, size, **dict(ranges))))


def project(h: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Map `[N, 2]` points in float64."""
    homogeneous = np.column_stack([xy, np.ones(len(xy))]) @ h.T
    return homogeneous[:, :2] / homogeneous[:, 2:]


def corners(size) -> np.ndarray:
    height, width = size
    return np.array(
        [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], float
    )


def test_apply_matches_numpy(maybe_jit):
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 768, (50, 2)).astype(np.float32)
    apply = maybe_jit(apply_homography)
    for h in draws(5, (768, 768), **WIDE).astype(np.float32):
        got = apply(h, xy)
        np.testing.assert_allclose(got, project(h.astype(float), xy), atol=1e-3)


@pytest.mark.parametrize("factor", [-3.0, 1e-3, 250.0])
def test_a_multiple_of_a_homography_is_the_same_map(factor):
    h = draws(1, **WIDE)[0].astype(np.float32)
    xy = np.random.default_rng(1).uniform(0, 100, (20, 2)).astype(np.float32)
    expected = apply_homography(h, xy)
    np.testing.assert_allclose(
        apply_homography(np.float32(factor) * h, xy), expected, atol=1e-3
    )
    np.testing.assert_allclose(
        inverse(np.float32(factor) * h), inverse(h), rtol=1e-4, atol=1e-6
    )


def test_points_on_the_horizon_stay_finite():
    h = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    assert np.isfinite(apply_homography(h, jnp.array([[1.0, 5.0]]))).all()


def test_inverse_matches_float64(maybe_jit):
    xy = np.random.default_rng(2).uniform(0, 768, (100, 2))
    invert = maybe_jit(inverse)
    for h in draws(5, (768, 768), **WIDE):
        h32 = h.astype(np.float32)
        expected = project(np.linalg.inv(h32.astype(float)), xy)
        got = project(np.asarray(invert(h32), float), xy)
        np.testing.assert_allclose(got, expected, atol=2e-3)


def test_inverse_without_a_unit_corner():
    h = np.array([[0, 1, 2], [1, 0, 3], [0.5, 0, 0]], np.float32)
    product = np.asarray(inverse(h)) @ h
    np.testing.assert_allclose(product / product[0, 0], np.eye(3), atol=1e-6)


def test_compose_applies_the_second_argument_first():
    a, b = draws(2, **WIDE).astype(np.float32)
    xy = np.random.default_rng(3).uniform(0, 90, (30, 2)).astype(np.float32)
    both = apply_homography(compose(a, b), xy)
    one_by_one = apply_homography(a, apply_homography(b, xy))
    np.testing.assert_allclose(both, one_by_one, atol=1e-3)
    other = np.asarray(apply_homography(compose(b, a), xy))
    assert np.abs(other - np.asarray(both)).max() > 1.0


def test_translation_moves_points():
    moved = apply_homography(translation(2.5, -4.0), jnp.array([[1.0, 1.0]]))
    assert moved.tolist() == [[3.5, -3.0]]


def test_every_draw_keeps_corners_convex_and_bounded():
    limit = 0.5 / ((1 + 2 * 0.16) / 0.74)
    hard = WIDE | {"perspective": 0.99 * limit, "rotation_deg": 180.0}
    for size in (SIZE, (160, 96)):
        for h in draws(500, size, **hard):
            assert np.linalg.det(h) > 0
            mapped = project(h, corners(size))
            sides = np.roll(mapped, -1, axis=0) - mapped
            turn = np.roll(sides, -1, axis=0)
            assert (sides[:, 0] * turn[:, 1] - sides[:, 1] * turn[:, 0] > 0).all()
            back = np.linalg.inv(h)
            for matrix in (h, back / np.sign(back[2, 2])):
                depth = np.column_stack([corners(size), np.ones(4)]) @ matrix[2]
                assert (depth > 0).all()
            assert np.abs(mapped).max() < 10 * max(size)


def test_draws_fill_their_ranges_and_no_more():
    ranges = WIDE | {"perspective": 0.0}
    center = np.array([[79.5, 47.5]])
    found = draws(4000, **ranges)
    scale = np.sqrt(np.linalg.det(found[:, :2, :2]))
    angle = np.rad2deg(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    shift = np.concatenate([project(h, center) - center for h in found])
    assert scale.min() >= 0.7399
    assert scale.max() <= 1.3501
    assert np.abs(np.median(np.log(scale)) - np.log(0.74 * 1.35) / 2) < 0.03
    assert 28.0 < angle.max() <= 28.601
    assert -28.601 <= angle.min() < -28.0
    reach = np.abs(shift).max(axis=0) / [160, 96]
    assert ((reach > 0.155) & (reach <= 0.16001)).all()


def test_perspective_is_the_change_of_scale_at_the_edge():
    still = {"rotation_deg": 0.0, "scale": (1.0, 1.0), "shift_frac": 0.0}
    found = draws(1000, (64, 64), perspective=0.1, **still)
    right = np.array([63.5, 31.5, 1.0])
    middle = np.array([31.5, 31.5, 1.0])
    change = (found[:, 2] @ right) / (found[:, 2] @ middle) - 1.0
    assert 0.095 < np.abs(change).max() <= 0.1001


def test_zero_ranges_give_the_identity():
    h = random_homography(
        jax.random.key(0), SIZE, rotation_deg=0.0, scale=(1.0, 1.0), shift_frac=0.0
    )
    np.testing.assert_allclose(h, np.eye(3), atol=1e-6)


def test_agrees_with_opencv_from_four_corners():
    for h in draws(10, **WIDE):
        source = corners(SIZE).astype(np.float32)
        target = np.asarray(apply_homography(h.astype(np.float32), source))
        expected = cv2.getPerspectiveTransform(source, target)
        grid = np.random.default_rng(5).uniform(0, 96, (20, 2))
        np.testing.assert_allclose(project(h, grid), project(expected, grid), atol=1e-2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"perspective": 0.3}, "fold the image over"),
        ({"scale": (0.0, 1.0)}, "0 < low <= high"),
        ({"scale": (1.2, 0.9)}, "0 < low <= high"),
    ],
)
def test_dangerous_ranges_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        random_homography(jax.random.key(0), SIZE, **(WIDE | changes))


def test_size_may_be_traced():
    key = jax.random.key(7)
    traced = jax.jit(lambda size: random_homography(key, size, **WIDE))
    expected = random_homography(key, SIZE, **WIDE)
    np.testing.assert_allclose(traced(jnp.array(SIZE)), expected, atol=1e-4)

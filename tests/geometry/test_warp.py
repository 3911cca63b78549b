"""Sampling and warping against SciPy, OpenCV, torch and round trips."""

import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from rkd_jax.geometry.homography import (
    apply_homography,
    inverse,
    random_homography,
    translation,
)
from rkd_jax.geometry.warp import inside, pixel_grid, sample, warp, warp_mask

RNG = np.random.default_rng(0)
IMAGE = RNG.random((23, 31)).astype(np.float32)
# Positions inside, on the edge, up to a pixel outside and far outside.
XY = RNG.uniform(-3, 34, (400, 2)).astype(np.float32)
XY[:4] = [[0, 0], [30, 22], [-1, 5], [31, 5]]


# Compiled once per shape; one test of each also runs uncompiled.
fast_warp = jax.jit(warp, static_argnums=2)
fast_inverse = jax.jit(inverse)


@functools.partial(jax.jit, static_argnums=1)
def homography(seed: int = 0, size=(23, 31)):
    return random_homography(
        jax.random.key(seed),
        size,
        rotation_deg=25.0,
        scale=(0.8, 1.2),
        shift_frac=0.1,
        perspective=0.04,
    )


def smooth(size=(96, 96)) -> np.ndarray:
    noise = np.random.default_rng(1).random(size)
    blurred = ndimage.gaussian_filter(noise, 4.0)
    return ((blurred - blurred.min()) / np.ptp(blurred)).astype(np.float32)


@pytest.mark.parametrize("fill", [0.0, 0.7])
def test_sample_matches_scipy(maybe_jit, fill):
    expected = ndimage.map_coordinates(
        IMAGE.astype(float), XY.T[::-1].astype(float), order=1,
        mode="grid-constant", cval=fill,
    )  # fmt: skip
    got = maybe_jit(lambda image, xy: sample(image, xy, fill=fill))(IMAGE, XY)
    np.testing.assert_allclose(got, expected, atol=5e-6)


def test_sample_matches_torch():
    torch = pytest.importorskip("torch", reason="parity with torch's grid_sample")
    normalized = 2 * XY / np.array([30, 22], np.float32) - 1
    expected = torch.nn.functional.grid_sample(
        torch.tensor(IMAGE)[None, None],
        torch.tensor(normalized)[None, None],
        align_corners=True,
    )[0, 0, 0]
    np.testing.assert_allclose(sample(IMAGE, XY), expected.numpy(), atol=1e-5)


def test_channels_are_sampled_alike():
    image = RNG.random((23, 31, 3)).astype(np.float32)
    got = sample(image, XY.reshape(20, 20, 2))
    assert got.shape == (20, 20, 3)
    for channel in range(3):
        np.testing.assert_array_equal(
            got[..., channel].reshape(-1), sample(image[..., channel], XY)
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_impossible_positions_read_the_fill(bad):
    xy = jnp.array([[bad, 3.0], [3.0, bad]], jnp.float32)
    np.testing.assert_array_equal(sample(IMAGE, xy, fill=0.25), [0.25, 0.25])


@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int32, np.float16])
def test_any_real_type_is_read_as_float32(dtype):
    image = (IMAGE > 0.5).astype(dtype)
    got = sample(image, XY)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, sample(image.astype(np.float32), XY))


def test_batches_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 4, 1\).*vmap"):
        sample(np.zeros((2, 4, 4, 1), np.float32), XY)


def test_gradients_are_those_of_bilinear_weights():
    points = jnp.array([[3.3, 4.6], [10.25, 7.5], [-0.4, 2.3]])
    values, pull = jax.vjp(lambda image: sample(image, points), jnp.asarray(IMAGE))
    for i in range(3):  # linear in the image, so the gradient holds the weights
        (weights,) = pull(jax.nn.one_hot(i, 3))
        np.testing.assert_allclose(np.sum(weights * IMAGE), values[i], atol=1e-6)
        assert np.count_nonzero(weights) == (2 if i == 2 else 4)
    slope = jax.grad(lambda xy: sample(IMAGE, xy))(jnp.array([3.3, 4.6]))
    expected = [
        0.4 * (IMAGE[4, 4] - IMAGE[4, 3]) + 0.6 * (IMAGE[5, 4] - IMAGE[5, 3]),
        0.7 * (IMAGE[5, 3] - IMAGE[4, 3]) + 0.3 * (IMAGE[5, 4] - IMAGE[4, 4]),
    ]
    np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_whole_pixel_shifts_are_exact():
    shifted = np.zeros_like(IMAGE)
    shifted[2:, :-3] = IMAGE[:-2, 3:]
    np.testing.assert_array_equal(
        warp(IMAGE, translation(3.0, -2.0), IMAGE.shape), shifted
    )


@pytest.mark.parametrize("out_size", [(23, 31), (40, 17)])
def test_warp_matches_scipy(out_size, maybe_jit):
    h = np.asarray(homography(3))
    y, x = np.mgrid[: out_size[0], : out_size[1]]
    u, v, w = np.tensordot(h.astype(float), np.stack([x, y, np.ones(out_size)]), 1)
    expected = ndimage.map_coordinates(
        IMAGE.astype(float), [v / w, u / w], order=1, mode="grid-constant"
    )
    got = maybe_jit(lambda image: warp(image, h, out_size))(IMAGE)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_warp_is_near_opencv():
    image, h = smooth(), np.asarray(homography(4, (96, 96)))
    expected = cv2.warpPerspective(
        image, h.astype(float), (96, 96), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    seen = np.asarray(warp_mask((96, 96), h, (96, 96)))
    got = np.asarray(fast_warp(image, h, (96, 96)))
    np.testing.assert_allclose(got[seen], expected[seen], atol=5e-3)


def test_there_and_back_is_the_identity_inside():
    image = smooth()
    for seed in range(3):
        h = homography(seed, (96, 96))
        there = fast_warp(image, fast_inverse(h), (96, 96))
        back = fast_warp(there, h, (96, 96))
        seen = np.array(warp_mask((96, 96), h, (96, 96)))
        seen[[0, 1, 2, -3, -2, -1]] = False
        seen[:, [0, 1, 2, -3, -2, -1]] = False
        assert seen.mean() > 0.4
        assert np.abs(np.asarray(back) - image)[seen].max() < 0.02


def test_a_point_follows_the_picture():
    h = homography(6, (96, 96))
    y, x = np.mgrid[:96, :96]
    dot = np.exp(-((x - 40.0) ** 2 + (y - 50.0) ** 2) / 8.0).astype(np.float32)
    warped = np.asarray(fast_warp(dot, fast_inverse(h), (96, 96)))
    center = [(x * warped).sum(), (y * warped).sum()] / warped.sum()
    expected = apply_homography(h, jnp.array([40.0, 50.0]))
    np.testing.assert_allclose(center, expected, atol=0.1)


def test_mask_is_strictly_inside():
    mask = np.asarray(warp_mask((4, 5), translation(0.0, 0.0), (6, 6)))
    expected = np.zeros((6, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(mask, expected)
    h = homography(2)
    mapped = np.asarray(apply_homography(h, pixel_grid((23, 31))))
    x, y = mapped[..., 0], mapped[..., 1]
    np.testing.assert_array_equal(
        warp_mask((20, 25), h, (23, 31)), (x > 0) & (x < 24) & (y > 0) & (y < 19)
    )


def test_size_of_the_input_may_be_traced():
    h = homography(2)
    traced = jax.jit(lambda size: warp_mask(size, h, (23, 31)))
    np.testing.assert_array_equal(
        traced(jnp.array([20, 25])), warp_mask((20, 25), h, (23, 31))
    )
    assert inside(jnp.array([3.0, 3.0]), (5, 5))


def test_vmap_equals_one_by_one():
    images = RNG.random((3, 23, 31)).astype(np.float32)
    hs = jnp.stack([homography(seed) for seed in range(3)])
    together = jax.vmap(lambda image, h: fast_warp(image, h, (23, 31)))(images, hs)
    for i in range(3):
        np.testing.assert_allclose(
            together[i], fast_warp(images[i], hs[i], (23, 31)), atol=1e-6
        )

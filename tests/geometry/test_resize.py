"""The half-pixel rule against resized pictures."""

import cv2
import jax.numpy as jnp
import numpy as np

from rkd_jax.geometry.resize import resize_points


def test_points_follow_a_resized_picture():
    y, x = np.mgrid[:60, :80].astype(np.float32)
    picture = np.exp(-((x - 31.0) ** 2 + (y - 22.0) ** 2) / 50.0)
    resized = cv2.resize(picture, (40, 120), interpolation=cv2.INTER_LINEAR)
    y, x = np.mgrid[:120, :40]
    center = [(x * resized).sum(), (y * resized).sum()] / resized.sum()
    got = resize_points([31.0, 22.0], (40 / 80, 120 / 60))
    np.testing.assert_allclose(got, center, atol=0.02)


def test_the_way_back_and_both_kinds_of_arrays(maybe_jit):
    xy = np.random.default_rng(4).uniform(0, 60, (9, 2)).astype(np.float32)
    scale = np.array([0.4, 1.7])
    there = resize_points(xy, scale)
    assert there.dtype == np.float64
    np.testing.assert_allclose(resize_points(there, 1 / scale), xy, atol=1e-12)
    on_device = maybe_jit(lambda xy: resize_points(xy, scale))(jnp.asarray(xy))
    assert on_device.dtype == jnp.float32
    np.testing.assert_allclose(on_device, there, atol=1e-5)

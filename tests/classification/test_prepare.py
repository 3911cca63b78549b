"""Squares for a classifier: means of areas, the half-pixel rule, the field's box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_eyes import FIELD, draw_eye
from scipy.ndimage import map_coordinates

from rkd_jax.classification.prepare import MEAN, STD, normalize, prepare, used_box


def _noise(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def _grown(image, height, width):
    sides = zip(image.shape[:2], (height, width))
    places = [(np.arange(new) + 0.5) * old / new - 0.5 for old, new in sides]
    grid = np.meshgrid(*places, indexing="ij")
    channels = np.moveaxis(image.astype(float), 2, 0)
    found = [map_coordinates(c, grid, order=1, mode="nearest") for c in channels]
    return np.stack(found, axis=-1)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (60, 20), (20, 25), (10, 60)])
def test_sides_that_shrink_are_averaged_and_those_that_grow_interpolated(height, width):
    image, size = _noise(height, width), 30
    down, across = max(1, height // size), max(1, width // size)
    cells = image.reshape(height // down, down, width // across, across, 3)
    expected = _grown(cells.mean(axis=(1, 3)), size, size)
    found = prepare(image, size)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=1.5)  # rounded twice


def test_a_grey_photograph_has_three_equal_channels():
    image = _noise(40, 50)[..., 0]
    found = prepare(image, 24)
    np.testing.assert_array_equal(found, np.repeat(found[..., :1], 3, axis=2))
    np.testing.assert_array_equal(found, prepare(np.stack([image] * 3, axis=2), 24))


def test_the_field_is_cut_out():
    eye = draw_eye()
    x0, y0, x1, y1 = used_box(eye, crop_field=True)
    assert (x0, y0) == pytest.approx((40, 20), abs=1)
    assert (x1 - x0, y1 - y0) == pytest.approx((FIELD, FIELD), abs=2)
    expected = prepare(eye[y0:y1, x0:x1], 64)
    np.testing.assert_array_equal(prepare(eye, 64, crop_field=True), expected)
    assert prepare(eye, 64)[0, 32].max() == 0
    dark = np.zeros((40, 60, 3), np.uint8)
    assert used_box(dark, crop_field=True) == (0, 0, 60, 40)


def test_normalized_images_have_the_mean_and_deviation_taken_out():
    images = _noise(6, 7)[None]
    expected = (images / 255 - np.array(MEAN)) / np.array(STD)
    found = normalize(images, MEAN, STD)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    jitted = jax.jit(lambda x: normalize(x, MEAN, STD))
    for given in (jnp.asarray(images), jnp.asarray(images / 255, jnp.float32)):
        np.testing.assert_allclose(jitted(given), expected, rtol=1e-4, atol=1e-5)


def test_other_arrays_are_refused():
    for image in (np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            prepare(image, 8)

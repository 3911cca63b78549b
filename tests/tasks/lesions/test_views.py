"""What a patch may look like in training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.tasks.lesions import views


def keys(count):
    return jax.random.split(jax.random.key(0), count)


def eight_ways(image):
    """Turn an image by 90 degrees, and its mirror image, four times each."""
    return [np.rot90(one, k) for one in (image, image[:, ::-1]) for k in range(4)]


@pytest.mark.parametrize("side", [4, 5])
def test_turned_has_all_eight_ways_for_all_images_alike(side):
    count = 800
    image = jnp.arange(side * side * 3).reshape(side, side, 3)
    mask = image[..., 1]
    turned = jax.jit(jax.vmap(views.turned, (0, None, None)))
    images, masks = map(np.asarray, turned(keys(count), image, mask))
    np.testing.assert_array_equal(images[..., 1], masks)
    ways = [way.tobytes() for way in eight_ways(np.asarray(image))]
    assert len(set(ways)) == 8
    found = [ways.index(one.tobytes()) for one in images]
    counts = np.bincount(found, minlength=8)  # 100 each, standard deviation 9.4
    assert counts.min() > 60
    assert counts.max() < 140
    if side % 2:
        middle = side // 2
        assert (masks[:, middle, middle] == mask[middle, middle]).all()


def test_moved_reaches_every_place_with_image_and_mask_alike():
    side, crop, count = 7, 5, 300
    image = jnp.arange(side * side * 3, dtype=jnp.uint8).reshape(side, side, 3)
    mask = image[..., 0] > 70
    moved = jax.jit(
        jax.vmap(lambda key, *images: views.moved(key, crop, *images), (0, None, None))
    )
    images, masks = map(np.asarray, moved(keys(count), image, mask))
    assert images.shape == (count, crop, crop, 3)
    assert (images.dtype, masks.dtype) == (np.uint8, bool)
    starts = {}
    for row in range(side - crop + 1):
        for column in range(side - crop + 1):
            place = np.s_[row : row + crop, column : column + crop]
            starts[np.asarray(image)[place].tobytes()] = np.asarray(mask)[place]
    assert len(starts) == 9
    seen = {one.tobytes() for one in images}
    assert seen == set(starts)
    for one, other in zip(images, masks, strict=True):
        np.testing.assert_array_equal(starts[one.tobytes()], other)


def test_a_crop_of_the_whole_is_the_whole():
    image = jnp.arange(16).reshape(4, 4)
    (found,) = views.moved(jax.random.key(3), 4, image)
    np.testing.assert_array_equal(found, image)


def test_lit_is_one_gain_around_grey_and_a_shift_a_channel():
    count = 400
    levels = np.linspace(0, 1, 9, dtype=np.float32).reshape(3, 3, 1).repeat(3, 2)
    lit = jax.jit(jax.vmap(views.lit, (0, None)))
    found = np.asarray(lit(keys(count), levels))
    assert found.dtype == np.float32
    # Grey moves by the shift alone.
    shifts = found[:, 1, 1] - 0.5
    assert levels[1, 1, 0] == 0.5
    assert np.abs(shifts).max() <= 0.05 + 1e-6
    assert shifts.min() < -0.045
    assert shifts.max() > 0.045
    assert np.abs(np.corrcoef(shifts.T) - np.eye(3)).max() < 0.2
    gains = found[:, 2, 2] - found[:, 0, 0]
    np.testing.assert_allclose(gains, gains[:, :1].repeat(3, 1), atol=1e-6)
    assert 0.8 - 1e-6 <= gains.min() < 0.82
    assert 1.23 < gains.max() <= 1.25 + 1e-6
    expected = (levels - 0.5) * gains[:, None, None, :1] + 0.5 + shifts[:, None, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)

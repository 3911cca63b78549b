"""Tiles: the same map for any size of tile, equal to the network on the whole image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.lesions.tiles import map_in_tiles
from rkd_jax.models.frrn import Frrn


@functools.cache
def _network():
    module = Frrn(width=4, lanes=4)
    variables = jax.jit(module.init)(jax.random.key(1), jnp.zeros((1, 32, 32, 3)))

    @jax.jit
    def apply(images):
        logits = module.apply(variables, images.astype(jnp.float32) / 255.0).logits
        return jax.nn.sigmoid(10.0 * logits)  # untrained, it says nearly the same

    return apply, module.reach()


def _image(height, width):
    rng = np.random.default_rng(0)
    return rng.integers(0, 255, (height, width, 3), np.uint8)


def test_tiles_equal_the_whole():
    apply, reach = _network()
    image = _image(330, 700)
    # The whole: one window, with the margin that all sizes of tile have.
    padded = np.full((1, 512, 768, 3), 128, np.uint8)
    padded[0, 91:421, 34:734] = image
    whole = np.asarray(apply(padded))[0, 91:421, 34:734]
    assert np.ptp(whole) > 0.1
    for tile in (96, 160, 4096):
        found = map_in_tiles(apply, image, reach=reach, tile=tile)
        np.testing.assert_allclose(found, whole, atol=1e-5)


def test_windows_show_what_the_network_sees():
    seen = []

    def means(images):
        seen.append(images.shape)
        padded = np.pad(images[0, ..., 0].astype(np.float32), 20, constant_values=0)
        views = np.lib.stride_tricks.sliding_window_view(padded, (41, 41))
        return views.mean(axis=(2, 3))[None]

    image = _image(150, 300)
    whole = map_in_tiles(means, image, reach=20, tile=1024)
    tiled = map_in_tiles(means, image, reach=20, tile=48)
    np.testing.assert_allclose(tiled, whole, rtol=1e-6)
    assert len(seen) > 5
    assert set(seen[1:]) == {(1, 112, 112, 3)}


def test_a_tile_off_the_lattice_is_refused():
    with pytest.raises(ValueError, match="tile is 40; expected a positive multiple"):
        map_in_tiles(lambda x: x[..., 0], _image(64, 64), reach=8, tile=40)

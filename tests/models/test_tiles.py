"""Tiles give what the whole image gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build, tiles

SMALL = {"widths": (4, 4, 8, 8), "descriptor_dim": 8}


def compiled(function, *operands):
    """Run a function, compiled in a hurry."""
    lowered = jax.jit(function).lower(*operands)
    return lowered.compile({"xla_backend_optimization_level": 0})(*operands)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("superretina", {}, (2, 250, 330)),
        ("large_kernel", {"out_channels": 2}, (1, 64, 400)),
    ],
)
def test_tiles_equal_the_whole(name, options, shape):
    module = build(name, **SMALL, **options)
    images = jax.random.uniform(jax.random.key(1), (*shape, 1))
    variables = compiled(module.init, jax.random.key(0), images[:1])
    # Weights that let far pixels count: the default ones let them fade.
    variables = jax.tree.map(lambda x: 2 * x, variables)
    whole = compiled(module.apply, variables, images)
    run = functools.partial(tiles.apply_in_tiles, module, tile=48)
    ours = compiled(run, variables, images)
    for value, expected in (
        (ours.heatmap, whole.heatmap),
        (ours.logits, whole.logits),
        (ours.descriptors, whole.descriptors),
    ):
        scale = float(jnp.abs(expected).max())
        np.testing.assert_allclose(value, expected, atol=1e-5 * max(scale, 1))


def test_too_little_around_a_tile_would_show(monkeypatch):
    module = build("superretina", **SMALL)
    images = jax.random.uniform(jax.random.key(1), (1, 48, 256, 1))
    variables = compiled(module.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda x: 2 * x, variables)
    whole = compiled(module.apply, variables, images)
    monkeypatch.setattr(tiles, "halo", lambda module: 16)
    run = functools.partial(tiles.apply_in_tiles, module, tile=48)
    cut = compiled(run, variables, images)
    assert float(jnp.abs(cut.logits - whole.logits).max()) > 1e-3


def test_small_images_run_whole():
    module = build("superretina", **SMALL, norm="none")
    images = jax.random.uniform(jax.random.key(1), (1, 50, 70, 1))
    variables = compiled(module.init, jax.random.key(0), images)
    run = functools.partial(tiles.apply_in_tiles, module, tile=64)
    text = jax.jit(run).lower(variables, images).as_text()
    assert "stablehlo.while" not in text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("superretina", {"norm": "instance"}, "statistics over the whole image"),
        ("swin_unetr", {}, "SwinUnetr cannot run in tiles"),
    ],
)
def test_networks_that_look_at_the_whole_image_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        tiles.halo(build(name, **options))


def test_tiles_off_the_grid_are_refused():
    module = build("superretina")
    with pytest.raises(ValueError, match="tile is 40; expected a positive multiple"):
        tiles.apply_in_tiles(module, {}, jnp.zeros((1, 64, 64, 1)), tile=40)

"""Grad-CAM: against its closed form, and a spot that speaks for a class."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.classification.gradcam import class_map, head_of, logits_of


def _dense(rng, inputs, outputs):
    return {
        "kernel": jnp.asarray(rng.normal(size=(inputs, outputs)), jnp.float32),
        "bias": jnp.asarray(rng.normal(size=outputs), jnp.float32),
    }


@pytest.mark.parametrize("embedding", [False, True])
def test_the_map_is_the_closed_form_of_a_linear_head(embedding):
    rng = np.random.default_rng(0)
    params = {"stem": {}, "logits": _dense(rng, 5 if embedding else 6, 3)}
    if embedding:
        params["embedding"] = _dense(rng, 6, 5)
    last_map = rng.normal(size=(4, 7, 6)).astype(np.float32)
    head = head_of(params)
    weights = np.asarray(params["logits"]["kernel"])
    if embedding:
        weights = np.asarray(params["embedding"]["kernel"]) @ weights
    mean = last_map.mean(axis=(0, 1))
    bias = np.asarray(params["logits"]["bias"])
    if embedding:
        bias = bias + np.asarray(
            params["embedding"]["bias"] @ params["logits"]["kernel"]
        )
    np.testing.assert_allclose(
        logits_of(head, jnp.asarray(last_map[None]))[0],
        mean @ weights + bias,
        rtol=1e-4,
    )
    for number in range(3):
        expected = np.maximum(last_map @ weights[:, number], 0)
        expected /= expected.max()
        found = class_map(head, jnp.asarray(last_map), number)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_where_nothing_speaks_for_a_class_the_map_is_zero():
    rng = np.random.default_rng(0)
    head = {"logits": jax.tree.map(jnp.abs, _dense(rng, 2, 2))}
    found = class_map(head, -jnp.ones((3, 3, 2)), 1)
    np.testing.assert_array_equal(found, np.zeros((3, 3)))


def test_a_network_of_another_form_is_refused():
    with pytest.raises(ValueError, match="no layer 'logits' among head, stem"):
        head_of({"stem": {}, "head": {}})

"""Keypoints of a network of a user's own."""

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models.output import ModelOutput
from rkd_jax.registration.keypoints.network import NetworkKeypoints
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import prepare_photo
from rkd_jax.runtime import traced
from rkd_jax.weights import Weights

OPTIONS = MatcherOptions(working_size=64, points="detector", max_keypoints=8)


class Own(nn.Module):
    """Its descriptors are a number and the brightness."""

    number = 1.0

    def example_shape(self, size):
        return (1, size, size, 1)

    @nn.compact
    def __call__(self, images, *, train, heads=(), detector_images=None, example_ids=0):
        logits = self.param("weight", nn.initializers.ones, ()) * images[..., 0]
        cells = images[:, ::8, ::8]
        number = jnp.full_like(cells, self.number)
        descriptors = jnp.concatenate([cells, number], axis=-1)
        return ModelOutput(jax.nn.sigmoid(logits), logits, descriptors, {})


class Changed(Own):
    """The same network after a change of its code."""

    number = -1.0


def test_a_change_of_a_users_network_is_seen_by_the_next_process(tmp_path, monkeypatch):
    pytest.importorskip("flatbuffers")
    monkeypatch.setattr(traced, "_folder", lambda: tmp_path)
    eye = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    photo = prepare_photo(eye, OPTIONS, 64, name="eye")
    variables = {"params": {"weight": np.ones((), np.float32)}}
    weights = Weights("my_networks:Own", {}, variables, {}, {}, {})

    def signs(network):
        module = types.ModuleType("my_networks")
        module.Own = network
        monkeypatch.setitem(sys.modules, "my_networks", module)
        (found,) = NetworkKeypoints(weights, OPTIONS)([photo])
        assert found.mask.any()
        return np.sign(found.descriptors[found.mask][:, 1])

    assert set(signs(Own)) == {1.0}
    assert set(signs(Changed)) == {-1.0}

"""Start weights: all variables, or a backbone in a new network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toy import VolumeTask, volumes

from rkd_jax.training import state

BATCH = {"volume": volumes()[0]["volume"][None]}


def start(variables=None, task=None):
    return state.init_state(
        task or VolumeTask(),
        optax.sgd(0.1, momentum=0.9),
        BATCH,
        seed=3,
        average=True,
        variables=variables,
    )


def test_a_backbone_starts_a_network_with_a_new_head():
    fresh = start().variables
    given = jax.tree.map(lambda x: x + 1, fresh)
    backbone = {
        "params": {name: given["params"][name] for name in ("conv", "norm")},
        "batch_stats": given["batch_stats"],
    }
    begun = start(backbone)
    expected = {**backbone, "params": {**given["params"]}}
    expected["params"]["head"] = fresh["params"]["head"]
    jax.tree.map(np.testing.assert_array_equal, begun.variables, expected)
    jax.tree.map(np.testing.assert_array_equal, begun.average, expected)
    jax.tree.map(np.testing.assert_array_equal, start(given).variables, given)


def test_a_task_may_place_the_weights_itself():
    class Doubled(VolumeTask):
        def load(self, variables, weights):
            params = {**variables["params"], "head": weights["head"]}
            return {**variables, "params": params}

    head = {"kernel": jnp.ones((2, 1)), "bias": jnp.ones(1)}
    begun = start({"head": head}, Doubled()).variables["params"]
    jax.tree.map(np.testing.assert_array_equal, begun["head"], head)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"params": {"tail": {}}}, "params holds tail, which this network has not"),
        ({"cache": {}}, "the file holds cache.*it has batch_stats, params"),
        ({"params": {"conv": {"bias": np.zeros(7)}}}, r"params/conv/bias .* \(7,\)"),
        ({"params": {"conv": np.zeros(2)}}, "params/conv is an array on one side"),
    ],
)
def test_weights_of_another_network_are_named(given, words):
    with pytest.raises(ValueError, match=words):
        start(given)

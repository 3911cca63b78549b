"""Networks of a config, also one inside another: options, checks, weights files."""

import copy
import json
import re

import flax.linen as nn
import jax
import numpy as np
import pytest

from rkd_jax import models, weights
from rkd_jax.models.output import ModelOutput
from rkd_jax.tasks import networks
from rkd_jax.tasks.lesions import (
    LesionsModel,
    PatchesModel,
    ProposalModel,
)
from rkd_jax.training import start_weights


class Tiny(nn.Module):
    """A proposal network of a user, quick to make."""

    out_channels: int = 1
    width: int = 4

    @nn.nowrap
    def example_shape(self, size):
        return (1, size, size, 3)

    @nn.compact
    def __call__(self, images, train=False):
        logits = nn.Conv(self.out_channels, (self.width, 1))(images)[..., 0]
        return ModelOutput(nn.sigmoid(logits), logits, None, {})


def two_stage(**changes):
    return LesionsModel(
        proposal=ProposalModel(width=1, lanes=2),
        patches=PatchesModel(
            widths=(2, 2, 2), depths=(1, 1, 1), bottleneck=False, **changes
        ),
    )


def test_options_are_those_that_each_network_takes():
    found = networks.options(two_stage())
    assert found["proposal"] == {
        "name": "frrn",
        "width": 1,
        "lanes": 2,
        "out_channels": 1,
        "compute_dtype": "float32",
    }
    assert found["patches"]["name"] == "resnet"
    assert found["patches"]["widths"] == (2, 2, 2)
    for name, inside in (("frrn", found["proposal"]), ("resnet", found["patches"])):
        assert set(inside) - {"name"} <= models.option_names(name)
    assert set(found) <= models.option_names("two_stage")
    assert networks.build(two_stage()) == models.build("two_stage", **found)


def test_a_file_keeps_what_was_learned_not_how():
    def keys(tree):
        for key, value in tree.items():
            yield key
            if isinstance(value, dict):
                yield from keys(value)

    network = two_stage(compute_dtype="bfloat16")
    network.compute_dtype = network.proposal.compute_dtype = "bfloat16"
    stored = networks.stored_options(network)
    assert stored == networks.stored_options(two_stage())
    assert list(keys(networks.options(network))).count("compute_dtype") == 3
    kept = [key for key in keys(networks.options(network)) if key != "compute_dtype"]
    assert list(keys(stored)) == kept


def quick():
    """Return networks whose shapes take no time."""
    network = two_stage()
    network.proposal.name = f"{__name__}:Tiny"
    return network


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Save random parameters of all three networks, and read them."""
    options = networks.stored_options(quick())
    rng, variables = np.random.default_rng(0), {}
    for name, shape in weights.expected_shapes("two_stage", options).items():
        *parents, leaf = name.split("/")
        level = variables
        for key in parents:
            level = level.setdefault(key, {})
        level[leaf] = rng.normal(size=shape).astype(np.float32)
    path = tmp_path_factory.mktemp("weights") / "both.safetensors"
    weights.save(path, variables, model="two_stage", options=options)
    found = weights.load(path, model="two_stage", check_shapes=False)
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables)
    return found


def test_a_network_is_the_same_after_its_file(loaded):
    assert loaded.options == json.loads(json.dumps(networks.stored_options(quick())))
    built = models.build(loaded.model, **loaded.options)
    images = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3))
    found, expected = (
        jax.jit(module.apply)(loaded.variables, images)
        for module in (built, networks.build(quick()))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert found[0].shape == (1, 16, 16)
    assert found[2].logits.shape == (1, 2)
    wanted = quick()
    start_weights.check_network("both", loaded, wanted)
    # A file says what was learned, not how it is computed.
    wanted.compute_dtype = wanted.patches.compute_dtype = "bfloat16"
    start_weights.check_network("both", loaded, wanted)


@pytest.mark.parametrize(
    ("part", "option", "value"),
    [
        ("proposal", "width", 3),
        ("proposal", "name", "frrn"),
        ("patches", "widths", (2, 2, 4)),
        ("patches", "stem_pool", True),
    ],
)
def test_another_network_inside_is_refused(loaded, part, option, value):
    other = quick()
    setattr(getattr(other, part), option, value)
    expected = (
        rf"both was made with {part}\.{option} = .* asks for {re.escape(str(value))}"
    )
    with pytest.raises(ValueError, match=expected):
        start_weights.check_network("both", loaded, other)


def test_a_file_need_not_name_defaults_inside():
    """As one that somebody else has written, through JSON."""
    network = two_stage()
    stored = json.loads(json.dumps(networks.stored_options(network)))
    defaults = models.OPTIONS["resnet"]()
    fewer = copy.deepcopy(stored)
    for name, value in stored["patches"].items():
        if name != "name" and getattr(defaults, name) == value:
            del fewer["patches"][name]
    assert len(fewer["patches"]) < len(stored["patches"])
    found = weights.Weights("two_stage", fewer, {}, {}, {}, {})
    start_weights.check_network("both", found, network)
    del fewer["proposal"]["width"]
    with pytest.raises(ValueError, match=r"proposal\.width = 48; .*asks for 1"):
        start_weights.check_network("both", found, network)


def test_an_unknown_network_is_named_at_any_depth():
    network = two_stage()
    networks.check_options(network, "model")
    for part in ("proposal", "patches"):
        bad = copy.deepcopy(network)
        getattr(bad, part).name = "frn"
        with pytest.raises(
            ValueError, match=f"config.a.{part}: unknown network 'frn'; did you mean"
        ):
            networks.check_options(bad, "a")

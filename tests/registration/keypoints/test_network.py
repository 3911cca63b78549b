"""Keypoints of a network of a user's own."""

import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import made_fire
import numpy as np
import pytest

from rkd_jax import evaluate, models, register, weights
from rkd_jax.config import Config
from rkd_jax.models.output import ModelOutput
from rkd_jax.registration.keypoints.network import NetworkKeypoints
from rkd_jax.registration.matcher import load_matcher
from rkd_jax.registration.options import MatcherOptions
from rkd_jax.registration.photo import prepare_photo
from rkd_jax.runtime import traced
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.training.start_weights import find_named
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


@pytest.mark.parametrize("name", ["frrn", "resnet", "two_stage"])
def test_networks_for_lesions_are_refused(name):
    expected = "no keypoints; expected those of large_kernel, superretina or swin_unetr"
    with pytest.raises(ValueError, match=f"weights: weights of '{name}'.*{expected}"):
        NetworkKeypoints(Weights(name, {}, {}, {}, {}, {}), OPTIONS)


def test_files_of_networks_for_lesions_are_refused(tmp_path, capsys):
    name, options = "resnet", {"widths": (2,), "depths": (1,)}
    module = models.build(name, **options)
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    path = tmp_path / "lesions.safetensors"
    weights.save(path, variables, model=name, options=options)
    message = (
        f"{path}: weights of '{name}', which finds no keypoints; expected those of "
        "large_kernel, superretina or swin_unetr"
    )
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_matcher(path)
    assert str(error.value) == message
    out = tmp_path / "out"
    line = ["a.png", "b.png", "--weights", str(path), "--out", str(out)]
    assert register.main(line) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
    made_fire.write_fire(tmp_path / "FIRE")
    line = ["fire", "--data_dir", str(tmp_path / "FIRE"), *line[2:]]
    assert evaluate.main(line) == 2
    assert message in capsys.readouterr().err
    task = RetinaConfig(distill=True)
    task.teacher.weights = str(path)
    with pytest.raises(ValueError, match=f"{path} holds weights of {name}; the config"):
        find_named(Config(task=task), ("teacher",))

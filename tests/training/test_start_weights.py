"""Weights files of others are taken only where they fit the config."""

import jax
import jax.numpy as jnp
import pytest

from rkd_jax import config as schema
from rkd_jax import models, weights
from rkd_jax.tasks.faces import FacesConfig
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.training import start_weights


def test_options_that_a_weights_file_leaves_out_have_their_defaults():
    loaded = weights.Weights("superretina", {"descriptor_dim": 256}, {}, {}, {}, {})
    wanted = schema.ModelConfig(name="superretina")
    start_weights.check_network("teacher.safetensors", loaded, wanted)
    for field, value in (("norm", "instance"), ("widths", (8, 8, 8, 8))):
        other = schema.ModelConfig(name="superretina", **{field: value})
        with pytest.raises(ValueError, match=field):
            start_weights.check_network("teacher.safetensors", loaded, other)


@pytest.mark.parametrize("role", ["teacher", "start"])
def test_weights_of_other_faces_are_refused(tmp_path, role):
    task = FacesConfig(distill=role == "teacher")
    config = schema.Config(task=task)
    heads = {"out_channels": 98, "descriptor_dim": 0, "widths": (4, 4, 4, 4)}
    config.model = schema.ModelConfig("superretina", **heads)
    task.teacher.model = schema.ModelConfig("superretina", **heads)
    config.data.crop = 48
    facts = {"channel": "luma", "box_scale": 1.2, "temperature": 0.2}
    facts |= {"size": 48, "sigma_px": 1.5}
    path = tmp_path / "w.safetensors"
    module = models.build("superretina", **heads)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    if role == "teacher":
        task.teacher.weights = str(path)
    else:
        config.init_weights = str(path)

    def check(**changes):
        saved = {"options": heads, "preprocess": {**facts, **changes}}
        weights.save(path, variables, model="superretina", **saved, recipe={})
        assert start_weights.find_named(config, ("start", "teacher")) == {
            role: str(path)
        }

    check()
    wrong = {"channel": "green", "box_scale": 1.5, "temperature": 1.0}
    # A network may go on with crops of another size.
    free = {"size": 32, "sigma_px": 4.0}
    if role == "start":
        check(**free)
    else:
        wrong |= free
    for key, value in wrong.items():
        with pytest.raises(ValueError, match=f"made with {key} = {value}"):
            check(**{key: value})


def test_named_files_are_found_and_checked_for_what_they_are():
    task = RetinaConfig(distill=True)
    config = schema.Config(task=task)
    config.model.norm = task.teacher.model.norm = "instance"
    task.teacher.weights = "unet"
    found = start_weights.find_named(config, ("start", "teacher"))
    assert found == {"teacher": str(weights.find("unet"))}
    config.init_weights = "unet_robust"
    found = start_weights.find_named(config, ("start", "teacher"))
    assert found["start"] == str(weights.find("unet_robust"))
    config.init_weights = "large"
    with pytest.raises(ValueError, match="holds weights of swin_unetr"):
        start_weights.find_named(config, ("start", "teacher"))
    config.init_weights, task.teacher.model.widths = "", (8, 8, 8, 8)
    with pytest.raises(ValueError, match=r"made with widths"):
        start_weights.find_named(config, ("start", "teacher"))

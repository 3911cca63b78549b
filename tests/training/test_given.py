"""Weights files of others are taken only where they fit the config."""

import pytest

from rkd_jax import config as schema
from rkd_jax import tasks, weights
from rkd_jax.training import given


def test_options_that_a_weights_file_leaves_out_have_their_defaults():
    loaded = weights.Weights("superretina", {"descriptor_dim": 256}, {}, {}, {}, {})
    wanted = schema.ModelConfig(name="superretina")
    given.check_network("teacher.safetensors", loaded, wanted)
    for field, value in (("norm", "instance"), ("widths", (8, 8, 8, 8))):
        other = schema.ModelConfig(name="superretina", **{field: value})
        with pytest.raises(ValueError, match=field):
            given.check_network("teacher.safetensors", loaded, other)


def test_a_teacher_of_other_faces_is_refused():
    config = schema.Config()
    config.task.name = "landmarks"
    facts = {"channel": "luma", "box_scale": 1.2, "temperature": 0.2}
    facts |= {"size": config.data.size, "sigma_px": 1.5}

    def check(teacher=True, **changes):
        loaded = weights.Weights("superretina", {}, {}, {**facts, **changes}, {}, {})
        wanted = tasks.must_agree(config, teacher=teacher)
        given.check_reading("w.safetensors", loaded, wanted)

    check()
    wrong = {
        "channel": "green",
        "box_scale": 1.5,
        "temperature": 1.0,
        "size": 32,
        "sigma_px": 4.0,
    }
    for key, value in wrong.items():
        with pytest.raises(ValueError, match=f"made with {key} = {value}"):
            check(**{key: value})
    # A network may go on with crops of another size.
    check(teacher=False, size=32, sigma_px=4.0)


def test_named_files_are_found_and_checked_for_what_they_are():
    config = schema.Config()
    config.model.norm = config.teacher.model.norm = "instance"
    config.task.distill = True
    config.teacher.weights = "unet"
    found = given.check_given(config)
    assert found == given.Given(teacher=str(weights.find("unet")))
    config.init_weights = "default"
    assert given.check_given(config).start == str(weights.find("default"))
    config.init_weights = "large"
    with pytest.raises(ValueError, match="holds weights of swin_unetr"):
        given.check_given(config)
    config.init_weights, config.teacher.model.widths = "", (8, 8, 8, 8)
    with pytest.raises(ValueError, match=r"made with widths"):
        given.check_given(config)

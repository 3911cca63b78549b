"""What the config of an experiment with faces must be."""

import runpy

import pytest

from rkd_jax.config import Config
from rkd_jax.tasks.faces import FacesConfig


def faces(variant=""):
    return runpy.run_path("configs/faces.py")["get_config"](variant)


@pytest.mark.parametrize("variant", ["", "demo", "folds", "wflw"])
def test_the_face_experiments_are_valid(variant):
    config = faces(variant)
    config.data.data_dir = "WFLW" if config.data.kind == "wflw" else ""
    assert config.validate() is config


def change(config, field, value):
    *groups, last = field.split(".")
    for group in groups:
        config = getattr(config, group)
    setattr(config, last, value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        (
            "model.window_size",
            1,
            r"model\.window_size is 1; expected at least",
        ),
        ("model.out_channels", 1, r"model\.out_channels must be 98 .*'landmarks'"),
        (
            "task.teacher.model.out_channels",
            1,
            r"task\.teacher\.model\.out_channels must be 98",
        ),
        ("model.descriptor_dim", 8, r"model\.descriptor_dim must be 0"),
        ("data.kind", "superretina", "synthetic, wflw, tfds"),
        ("data.fold", 0, "only data.kind 'wflw' has folds"),
        ("data.box_scale", 0.0, r"box_scale must be finite, positive"),
        ("task.sigma_px", 0.0, r"sigma_px must be finite, positive"),
        ("task.distillation_weight", -1.0, r"weight must be finite"),
        ("task.light", "paper", "face, none"),
        ("task.temperature", 0.0, "temperature must be finite, positive"),
        ("data.folds", 1, "folds must be finite, at least 2"),
        ("task.geometry", "any", "face"),
    ],
)
def test_what_faces_cannot_have_is_named(field, value, message):
    config = faces("demo")
    change(config, field, value)
    with pytest.raises(ValueError, match=message):
        config.validate()


def test_one_of_both_errors_must_count():
    config = faces("demo")
    config.task.heatmap_weight = config.task.point_weight = 0.0
    with pytest.raises(ValueError, match="both 0"):
        config.validate()


def test_heatmaps_of_a_network_are_asked_for():
    with pytest.raises(ValueError, match=r"config\.model\.out_channels must be 98"):
        Config(task=FacesConfig()).validate()


@pytest.mark.parametrize("other", ["folds", "wflw"])
def test_the_demo_has_faces_of_its_own(other):
    with pytest.raises(ValueError, match="choose it alone"):
        faces(f"demo,{other}")


def test_folds_must_exist():
    config = faces("folds")
    config.data.data_dir, config.data.fold = "WFLW", 5
    with pytest.raises(ValueError, match=r"fold is 5 of 5 folds"):
        config.validate()

"""The schema: which fields belong to which task, and what faces need."""

import runpy

import pytest

from rkd_jax import config as schema


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
        ("task.light", "visit", r"task\.light does not belong to the task 'landmarks'"),
        ("data.crop_field", False, r"data\.crop_field does not belong"),
        ("data.skip_missing", True, r"data\.skip_missing does not belong"),
        ("loop.eval_kind", "synthetic", r"loop\.eval_kind does not belong"),
        ("model.window_size", 1, r"window_size must be at least 2"),
        ("model.out_channels", 1, r"model\.out_channels must be 98 .*'landmarks'"),
        ("teacher.model.out_channels", 1, r"teacher\.model\.out_channels must be 98"),
        ("model.descriptor_dim", 8, r"model\.descriptor_dim must be 0"),
        ("data.kind", "superretina", "synthetic, wflw, tfds"),
        ("data.fold", 0, "only data.kind 'wflw' has folds"),
        ("data.box_scale", 0.0, r"box_scale must be positive"),
        ("pretrain.steps", 5, r"pretrain\.steps is for the retina"),
        ("task.landmarks.sigma_px", 0.0, r"sigma_px must be positive"),
        (
            "task.landmarks.distillation_weight",
            -1.0,
            r"weight must be finite",
        ),
        ("task.landmarks.light", "paper", "face, none"),
        ("task.landmarks.temperature", 0.0, "temperature must be positive"),
        ("data.folds", 1, "folds must be finite, at least 2"),
        ("task.landmarks.geometry", "any", "face"),
    ],
)
def test_what_faces_cannot_have_is_named(field, value, message):
    config = faces("demo")
    change(config, field, value)
    with pytest.raises(ValueError, match=message):
        config.validate()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("task.landmarks.sigma_px", 3.0, r"landmarks does not belong .* 'retina'"),
        ("data.fold", 1, r"data\.fold does not belong to the task 'retina'"),
        ("model.out_channels", 98, r"out_channels must be 1 for the task 'retina'"),
        ("model.descriptor_dim", 0, r"descriptor_dim must be at least 1"),
        ("data.kind", "wflw", "synthetic, superretina, folder, tfds"),
    ],
)
def test_what_retinas_cannot_have_is_named(field, value, message):
    config = schema.Config()
    change(config, field, value)
    with pytest.raises(ValueError, match=message):
        config.validate()


@pytest.mark.parametrize("other", ["folds", "wflw"])
def test_the_demo_has_faces_of_its_own(other):
    with pytest.raises(ValueError, match="choose it alone"):
        faces(f"demo,{other}")


def test_folds_must_exist():
    config = faces("folds")
    config.data.data_dir, config.data.fold = "WFLW", 5
    with pytest.raises(ValueError, match=r"fold is 5 of 5 folds"):
        config.validate()

"""A work directory belongs to one run: its config and its images."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors

from rkd_jax import config as schema
from rkd_jax import models
from rkd_jax.data import records
from rkd_jax.training import run_folder


def test_a_run_refuses_another_config_but_not_how_it_is_watched(tmp_path):
    config = schema.Config()
    run_folder.check(tmp_path, config)
    run_folder.claim(tmp_path, config)
    config.loop.log_every, config.data.num_threads = 1, 0
    run_folder.check(tmp_path, config)
    config.optim.lr = 0.5
    with pytest.raises(ValueError, match=r"optim\.lr: .* -> 0\.5"):
        run_folder.check(tmp_path, config)


def test_weights_tell_their_recipe_but_no_folder(tmp_path):
    config = schema.Config()
    config.model.widths, config.model.descriptor_dim = (4, 4, 4, 4), 8
    config.model.compute_dtype = "bfloat16"
    for group, field in (
        (config.data, "data_dir"),
        (config.data, "auxiliary_dir"),
        (config.teacher, "weights"),
        (config, "init_weights"),
    ):
        setattr(group, field, f"/home/somebody/{field}")
    path = tmp_path / run_folder.WEIGHTS
    module = models.build("superretina", **config.model.options())
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 1)))
    metrics = {"score": 0.5, "error": float("nan")}
    run_folder.save_weights(path, config, variables, metrics)
    metadata = safetensors.safe_open(path, "numpy").metadata()
    assert "somebody" not in " ".join(metadata.values())
    recipe = json.loads(metadata["recipe"])
    assert recipe["config"]["data"]["data_dir"] == "data_dir"
    assert recipe["metrics"] == {"score": 0.5, "error": None}
    assert "compute_dtype" not in json.loads(metadata["options"])


@pytest.mark.parametrize("text", ["{", "[1]"])
@pytest.mark.parametrize("name", [run_folder.CONFIG, run_folder.DATA])
def test_damaged_files_are_named(tmp_path, name, text):
    def check():
        run_folder.check(tmp_path, schema.Config())
        run_folder.claim_data(tmp_path, records.Records([], size=32, max_labels=4))

    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}.*JSON.*--workdir"):
        check()


def test_a_run_refuses_other_images_than_it_began_with(tmp_path):
    eye = np.zeros((40, 40), np.uint8)
    eye[10:30, 10:30] = 200

    def source(*names):
        items = [records.Item(n, lambda: (eye, None), False) for n in names]
        return records.Records(items, size=32, max_labels=4)

    run_folder.claim_data(tmp_path, source("old/a.png", "old/b.png"))
    run_folder.claim_data(tmp_path, source("moved/a.png", "moved/b.png"))
    for other in (("a.png",), ("b.png", "a.png")):
        with pytest.raises(ValueError, match="began with 2 images"):
            run_folder.claim_data(tmp_path, source(*other))

"""A work directory belongs to one run: its config and its images."""

import numpy as np
import pytest

from rkd_jax import config as schema
from rkd_jax.data import records
from rkd_jax.training import run_folder


def test_a_run_refuses_another_config_but_not_how_it_is_watched(tmp_path):
    config = schema.Config()
    run_folder.claim(tmp_path, config)
    config.loop.log_every, config.data.num_threads = 1, 0
    run_folder.claim(tmp_path, config)
    config.optim.lr = 0.5
    with pytest.raises(ValueError, match=r"optim\.lr: .* -> 0\.5"):
        run_folder.claim(tmp_path, config)


@pytest.mark.parametrize("text", ["{", "[1]"])
@pytest.mark.parametrize("name", [run_folder.CONFIG, run_folder.DATA])
def test_damaged_files_are_named(tmp_path, name, text):
    def claim():
        run_folder.claim(tmp_path, schema.Config())
        run_folder.claim_data(tmp_path, records.Records([], size=32, max_labels=4))

    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"{name}.*JSON.*--workdir"):
        claim()


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

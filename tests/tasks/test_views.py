"""Training examples: the photographs that they are made of."""

import pytest

from rkd_jax import config as schema
from rkd_jax import tasks


def test_missing_samples_are_left_out_where_the_config_says_so(tmp_path):
    for folder in ("ImageData", "Annotations", "ImageSets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "ImageData/a.png").write_bytes(b"not read here")
    (tmp_path / "Annotations/a.txt").write_text("0.5 0.5\n")
    (tmp_path / "ImageSets/train.txt").write_text("a.png, a.txt\nb.png, b.txt\n")
    config = schema.Config()
    config.data.kind, config.data.data_dir = "lab", str(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"--config\.data\.skip_missing=true"):
        tasks.training_source(config)
    config.data.skip_missing = True
    assert len(tasks.training_source(config)) == 1

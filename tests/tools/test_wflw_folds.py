"""Cross-validation by image: every face is scored by networks that never saw it."""

import csv
import importlib.util
import json
import pathlib

import numpy as np
import pytest
from made_faces import write_wflw

from rkd_jax.data import wflw
from rkd_jax.evaluation import wflw_predictions
from rkd_jax.tasks import faces as landmarks
from rkd_jax.training.loop import NonFiniteLossError
from rkd_jax.training.signals import Interrupted

TOOL = pathlib.Path(__file__).parents[2] / "tools" / "wflw_folds.py"
CONFIG = '''
"""Two folds of tiny networks."""

from rkd_jax.config import Config, ModelConfig
from rkd_jax.tasks.faces import FacesConfig


def get_config(variant=""):
    both = variant != "alone"
    task = FacesConfig(distill=both, compare_scratch=both)
    config = Config(task=task)
    heads = {"out_channels": 98, "descriptor_dim": 0, "norm": "instance"}
    config.model = ModelConfig("superretina", widths=(4, 4, 4, 4), **heads)
    task.teacher.model = ModelConfig("superretina", widths=(4, 4, 4, 4), **heads)
    config.data.kind, config.data.val_split = "wflw", "test"
    config.data.size, config.data.batch_size = 64, 4
    config.loop.steps = task.teacher.steps = 2
    return config
'''


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("wflw_folds", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_wflw(folder)
    (folder / "tiny.py").write_text(CONFIG)
    return folder


def command(root, out, *more):
    options = ["--data_dir", str(root), "--out", str(out), "--folds", "2"]
    options += ["--compilation_cache_dir", ""]
    return [*options, *(more or ("--config", str(root / "tiny.py")))]


@pytest.mark.slow
def test_rows_of_all_folds(tool, root, tmp_path, capsys):
    assert tool.main(command(root, tmp_path)) == 0
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "folds.json").read_text())
    assert list(rows) == ["mean face", "teacher", "scratch", "student"]
    faces = wflw.read_list(root, "test")
    for name, row in rows.items():
        assert name in shown
        nme = [part["nme"] for part in row["folds"]]
        assert row["nme"]["mean"] == pytest.approx(np.mean(nme))
        assert row["nme"]["sd"] == pytest.approx(abs(nme[0] - nme[1]) / np.sqrt(2))
        assert row["pooled"]["all"]["faces"] == len(faces)
    for fold in range(2):
        held = {f.name for f in wflw.split_fold(faces, fold, 2)[1]}
        for name in ("mean_face", "teacher", "scratch", "student"):
            path = tmp_path / f"fold{fold}" / "scores" / name / "predictions.npz"
            _, saved = wflw_predictions.load_predictions(path)
            assert set(saved.names.tolist()) == held
    with open(tmp_path / "folds.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert (tmp_path / "error_curve.png").exists()


def test_no_stage_learns_from_the_images_that_score_it(tool, root):
    config = tool.load_config(str(root / "tiny.py"))
    config.data.data_dir = str(root)
    config.data.fold, config.data.folds, config.loop.eval_pairs = 1, 3, 100
    others, held = wflw.split_fold(wflw.read_list(root, "test"), 1, 3)
    stages = landmarks.stages(config)
    assert [stage.title for stage in stages] == ["teacher", "scratch", "student"]
    for stage in stages:
        names = landmarks.training_source(stage.config).names
        assert sorted(names) == sorted(face.name for face in others)
        scored = landmarks.held_out(stage.config)
        assert list(scored.names) == [face.name for face in held]


def test_a_stop_and_a_lost_run_end_as_in_training(tool, root, tmp_path, monkeypatch):
    for error, status in (
        (Interrupted("stopped at step 1"), 143),
        (NonFiniteLossError("step 1: loss = nan"), 1),
    ):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(tool, "run_fold", fail)
        assert tool.main(command(root, tmp_path)) == status
    with pytest.raises(SystemExit):
        tool.main([*command(root, tmp_path), "--folds", "1"])


def test_bad_input_exits_2(tool, root, tmp_path, capsys):
    given = CONFIG.replace("return config", "config.%s = 'unet'\n    return config")

    other = "def get_config(variant):\n    return variant\n"

    def named(text):
        path = tmp_path / f"{abs(hash(text))}.py"
        path.write_text(text)
        return path

    for more, message in (
        (("--config", "/no/such.py"), "no such config file"),
        (("--config", f"{root / 'tiny.py'}:alone"), "must both be true"),
        (("--config", "configs/rkd.py:demo"), "not a config for WFLW"),
        (("--config", "configs/faces.py:folds,big"), "unknown variant big"),
        (("--config", "README.md"), "README.md: not a config file"),
        (
            ("--config", str(named("def get_config():\n    pass\n"))),
            "not a config file",
        ),
        (("--config", str(named(other))), "get_config returns str"),
        (
            ("--config", str(named(given % "task.teacher.weights"))),
            "teacher.weights must be",
        ),
        (("--config", str(named(given % "init_weights"))), "init_weights must be"),
        (("--config", str(named(given % "start_weights"))), "no field start_weights"),
    ):
        assert tool.main(command(root, tmp_path, *more)) == 2
        assert message in capsys.readouterr().err

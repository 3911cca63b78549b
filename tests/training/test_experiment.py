"""The runs of an experiment: what each is given, what they share, what is refused."""

import json
import types

import pytest

from rkd_jax import config as schema
from rkd_jax import weights
from rkd_jax.data.source import CachedSource
from rkd_jax.tasks import pretraining, retina
from rkd_jax.tasks.retina import RetinaConfig
from rkd_jax.training import experiment, loop, run_folder, start_weights


@pytest.fixture
def seen(monkeypatch):
    """Let runs only record their arguments; loaded weights are their path."""
    calls = {}

    def learn(*_, title, workdir, variables, teacher, evaluation, **__):
        calls[title] = {
            "workdir": workdir,
            "start": variables,
            "teacher": teacher,
            "data": evaluation.data,
        }
        metrics = {"score": float("nan")} if title == "student" else {}
        return loop.RunResult({"params": {"network": {}}}, metrics)

    def load(config, role, path):
        return weights.Weights("superretina", {}, path, {}, {}, {})

    for module in (retina, pretraining):
        names = [module.__name__]
        source = CachedSource(dict, names)
        monkeypatch.setattr(module, "held_out", lambda config, source=source: source)
    monkeypatch.setattr(loop, "train", learn)
    monkeypatch.setattr(start_weights, "load_for", load)
    monkeypatch.setattr(run_folder, "save_weights", lambda path, *_: path.touch())
    return calls


def whole_experiment():
    task = RetinaConfig(distill=True, compare_scratch=True)
    config = schema.Config(task=task)
    config.model.name = "swin_unetr"
    task.pretrain.steps = 7
    task.teacher.steps, task.teacher.lr = 5, 0.25
    return config


def test_weights_of_a_stage_reach_those_that_need_them(tmp_path, seen):
    results = experiment.run(whole_experiment(), tmp_path)
    encoder = str(tmp_path / "pretraining" / run_folder.WEIGHTS)
    teacher = str(tmp_path / "teacher" / run_folder.WEIGHTS)
    assert [(k, v["start"], v["teacher"]) for k, v in seen.items()] == [
        ("encoder", None, None),
        ("teacher", None, None),
        ("scratch", encoder, None),
        ("student", encoder, teacher),
    ]
    folders = ("pretraining", "teacher", "scratch", ".")
    assert [call["workdir"] for call in seen.values()] == [
        tmp_path / f for f in folders
    ]
    assert all((tmp_path / f / run_folder.WEIGHTS).exists() for f in folders)
    assert list(results) == list(seen)
    written = json.loads((tmp_path / run_folder.RESULTS).read_text())
    assert written == {**{key: {} for key in seen}, "student": {"score": None}}


def test_named_weights_reach_the_stages_that_need_them(tmp_path, seen):
    config = whole_experiment()
    config.task.pretrain.steps = 0
    config.model.norm = config.task.teacher.model.norm = "instance"
    config.init_weights = "large"
    experiment.run(config, tmp_path / "trained")
    assert seen["teacher"]["start"] is None
    large = str(weights.find("large"))
    assert seen["scratch"]["start"] == seen["student"]["start"] == large
    config.task.teacher.weights = "unet"
    seen.clear()
    experiment.run(config, tmp_path / "given")
    assert list(seen) == ["scratch", "student"]
    assert seen["scratch"]["teacher"] is None
    assert seen["student"]["teacher"] == str(weights.find("unet"))


def test_a_changed_field_is_named_as_it_was_typed(tmp_path, seen):
    config = whole_experiment()
    experiment.run(config, tmp_path)
    config.task.teacher.steps = 6
    with pytest.raises(ValueError, match=r"task\.teacher\.steps: 5 -> 6"):
        experiment.run(config, tmp_path)


def test_a_longer_experiment_goes_on_with_the_stages_that_get_longer(tmp_path, seen):
    config = whole_experiment()
    experiment.run(config, tmp_path)
    config.loop.steps *= 2
    experiment.run(config, tmp_path)
    for folder, steps in {
        "pretraining": config.task.pretrain.steps,
        "teacher": config.task.teacher.steps,
        "scratch": config.loop.steps,
        ".": config.loop.steps,
    }.items():
        written = json.loads((tmp_path / folder / run_folder.CONFIG).read_text())
        assert written["loop"]["steps"] == steps
    config.task.pretrain.steps += 1
    with pytest.raises(ValueError, match=r"pretrain\.steps: 7 -> 8 \(later stages"):
        experiment.run(config, tmp_path)


@pytest.mark.parametrize("folder", ["pretraining", "teacher", "scratch", "."])
def test_files_of_others_in_any_stage_are_refused_before_anything_runs(
    tmp_path, seen, folder
):
    (tmp_path / folder).mkdir(exist_ok=True)
    path = tmp_path / folder / run_folder.RESULTS
    path.write_text("not ours")
    with pytest.raises(ValueError, match=f"{path}: a run would write there"):
        experiment.run(whole_experiment(), tmp_path)
    assert not seen
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_other_images_are_refused_before_the_config_is_written(
    tmp_path, seen, monkeypatch
):
    config = whole_experiment()
    experiment.run(config, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    config.loop.log_every, config.data.data_dir = 3, "moved"
    source = retina.training_source(config)
    names = ("another.png", *source.names[1:])
    other = types.SimpleNamespace(names=names, groups=source.groups)
    for module in (retina, pretraining):
        monkeypatch.setattr(module, "training_source", lambda config: other)
    with pytest.raises(ValueError, match="other names"):
        experiment.run(config, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_every_stage_is_scored_on_the_held_out_data_of_its_task(tmp_path, seen):
    experiment.run(whole_experiment(), tmp_path)
    names = {title: call["data"].names for title, call in seen.items()}
    ours = (retina.__name__,)
    assert names == {
        "encoder": (pretraining.__name__,),
        **dict.fromkeys(("teacher", "scratch", "student"), ours),
    }


@pytest.mark.parametrize(
    "field", ["init_weights", "task.teacher.weights", "data.data_dir"]
)
def test_what_is_missing_is_named_before_anything_runs_or_is_claimed(
    tmp_path, seen, field
):
    config = whole_experiment()
    config.task.pretrain.steps = 0
    if field == "data.data_dir":
        config.data.kind, config.data.data_dir = "folder", str(tmp_path / "no_such")
    elif field == "init_weights":
        config.init_weights = str(tmp_path / "no_such")
    else:
        config.task.teacher.weights = str(tmp_path / "no_such")
    with pytest.raises(FileNotFoundError, match="no_such"):
        experiment.run(config, tmp_path / "run")
    assert not seen
    assert not (tmp_path / "run").exists()


def test_missing_held_out_data_are_named_before_anything_runs(
    tmp_path, seen, monkeypatch
):
    def fail(config):
        raise FileNotFoundError("no val.txt")

    monkeypatch.setattr(retina, "held_out", fail)
    with pytest.raises(FileNotFoundError, match=r"val\.txt"):
        experiment.run(whole_experiment(), tmp_path / "run")
    assert not seen
    assert not (tmp_path / "run").exists()


def test_a_directory_of_another_config_keeps_its_files(tmp_path, seen):
    config = whole_experiment()
    config.task.compare_scratch = False
    experiment.run(config, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    config.task.compare_scratch = True
    with pytest.raises(ValueError, match=r"task\.compare_scratch: False -> True"):
        experiment.run(config, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


def test_processes_must_be_able_to_share_a_batch(tmp_path, seen, monkeypatch):
    monkeypatch.setattr(experiment.jax, "process_count", lambda: 3)
    config = schema.Config(task=RetinaConfig())
    config.data.batch_size = 4
    with pytest.raises(ValueError, match=r"batch_size is 4, which .* 3 processes"):
        experiment.run(config, tmp_path / "run")
    assert not seen
    assert not (tmp_path / "run").exists()

"""A task from outside the package: trained, stopped, resumed, evaluated.

`tests/helpers/grading` is the task of docs/add_a_task.md: RGB pictures, BatchNorm, a
teacher that is the student's average, balanced batches, two stages, a network and a
benchmark of its own. Nothing in `rkd_jax` knows it.
"""

import json
import pathlib
import signal

import grading
import grading_experiment
import jax
import numpy as np
import pytest

from rkd_jax import evaluate, evaluation, tasks, weights
from rkd_jax.data.sampling import Balanced
from rkd_jax.training import experiment, step
from rkd_jax.training.signals import Interrupted

FIRST = STEPS = 20
LR = 0.02


@pytest.fixture(scope="module", autouse=True)
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tasks.TASKS, "grading", "grading")
        patch.setitem(evaluation.BENCHMARKS, "grading", "grading.benchmark")
        yield


def train(workdir):
    """Train both stages; return their last metrics."""
    config = grading_experiment.get_config()
    config.task.first_steps, config.loop.steps = FIRST, STEPS
    config.optim.lr, config.data.num_threads = LR, 0
    config.loop.log_every, config.loop.eval_every = 1, 8
    config.loop.checkpoint_every = 6
    return experiment.run(config, workdir)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Return the folder of a run on all devices, and its metrics."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, train(folder)


def lines(folder, group):
    text = (folder / "metrics.jsonl").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    return [entry for entry in entries if entry.pop("group") == group]


def test_the_second_stage_goes_on_from_the_first(straight):
    folder, results = straight
    first, second = (lines(folder / name, "train") for name in ("first", "."))
    assert [len(first), len(second)] == [FIRST, STEPS]
    assert second[-1]["label"] < second[0]["label"] < 0.6 * first[0]["label"]
    assert results.keys() == {"first", "network"}
    assert results["network"]["score"] > 0.9


def stop_at(monkeypatch, stage, number, act):
    """Call `act` when the examples of a step of a stage are chosen, once."""

    class Stopping(Balanced):
        def __getitem__(self, place):
            if place == (number - 1) * self.batch_size:
                act()
            return super().__getitem__(place)

    def sampler(config, source):
        own = "first" if config.task.teacher_weight == 0 else "network"
        kind = Stopping if own == stage else Balanced
        return kind(source.groups, count=3, per_group=4, seed=config.seed)

    monkeypatch.setattr(grading, "sampler", sampler)


def ask():
    signal.raise_signal(signal.SIGTERM)


def crash():
    raise RuntimeError("power cut")


def test_a_stopped_run_goes_on_bit_for_bit_in_both_stages(
    straight, tmp_path, monkeypatch
):
    """Signals save at once; after a crash the run goes on from a checkpoint."""
    stops = [("first", 3, ask), ("first", 15, crash), ("network", 10, ask)]
    for stage, number, act in stops:
        with monkeypatch.context() as patch:
            stop_at(patch, stage, number, act)
            expected = {
                ask: pytest.raises(Interrupted, match=f"at step {number};"),
                crash: pytest.raises(RuntimeError, match="power cut"),
            }
            with expected[act]:
                train(tmp_path)
    whole, results = straight
    assert train(tmp_path) == results
    for folder in ("first", "."):
        for name in ("weights.safetensors", "best.safetensors"):
            ours, theirs = (weights.load(x / folder / name) for x in (tmp_path, whole))
            assert (ours.sha256, ours.recipe) == (theirs.sha256, theirs.recipe)
        ours, theirs = (x / folder / "metrics.jsonl" for x in (tmp_path, whole))
        assert ours.read_text() == theirs.read_text()


def test_one_device_trains_as_four(straight, tmp_path, monkeypatch):
    one, batches = jax.devices()[:1], []
    make, replicate, shard = step.make_train_step, step.replicate, step.shard

    def share(batch):
        batches.append(batch)
        return shard(batch, len(one))

    monkeypatch.setattr(
        step, "make_train_step", lambda *a, **k: make(*a, devices=one, **k)
    )
    monkeypatch.setattr(step, "replicate", lambda tree: replicate(tree, one))
    monkeypatch.setattr(step, "shard", share)
    results = train(tmp_path)
    assert jax.local_device_count() == 4
    # Each batch was shared out by `share`, and has four pictures of each grade.
    counts = [np.bincount(batch["grade"]).tolist() for batch in batches]
    assert counts == [[4, 4, 4]] * (FIRST + STEPS)
    whole, expected = straight
    assert results == expected
    # Sums of n terms differ by up to n eps; a step of Adam moves a weight by about lr.
    terms = 12 * 8 * 8
    tolerance = (FIRST + STEPS) * LR * terms * float(np.finfo(np.float32).eps)
    for name in ("first", "."):
        found, wanted = (
            {
                "metrics": lines(folder / name, "train"),
                **weights.load(folder / name / "weights.safetensors").variables,
            }
            for folder in (tmp_path, whole)
        )
        assert found.keys() == {"metrics", "params", "batch_stats"}
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance),
            found,
            wanted,
        )


def test_the_benchmark_scores_the_weights_file_as_training_did(
    straight, tmp_path, capsys
):
    folder, results = straight

    def score(name, *more):
        path = str(folder / name / "weights.safetensors")
        out = ["--out", str(tmp_path / "out")]
        return evaluate.main(["grading", "--weights", path, *out, *more])

    def found():
        written = json.loads((tmp_path / "out" / "metrics.json").read_text())
        return written["score"]

    assert score(".") == score(".") == 0
    assert found() == results["network"]["score"]
    assert score("first") == 2
    assert "from other settings (weights:" in capsys.readouterr().err
    assert score("first", "--overwrite") == 0
    assert found() == results["first"]["score"]


def test_the_weights_file_names_the_network_and_no_folder(straight):
    folder, _ = straight
    loaded = weights.load(folder / "weights.safetensors")
    assert loaded.model == "grading.network:Grader"
    assert loaded.options == {"out_channels": 3, "width": 8}
    assert loaded.preprocess == {"channels": "rgb", "size": 16}
    assert str(pathlib.Path(folder)) not in json.dumps(loaded.metadata)

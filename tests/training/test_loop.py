"""The loop: resume bit for bit, stop on signals and bad numbers, write reports."""

import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import Batches, LineTask, VolumeTask, lines, volumes

from rkd_jax.data import pipeline
from rkd_jax.data.sampling import Balanced
from rkd_jax.data.weighted import Weighted
from rkd_jax.tasks.average import Average
from rkd_jax.training import loop, state, step
from rkd_jax.training.checkpoint import CheckpointError
from rkd_jax.training.optimizer import make_optimizer
from rkd_jax.training.signals import Interrupted, stop_signals

OPTIONS = loop.LoopOptions(
    steps=8, log_every=1, eval_every=4, checkpoint_every=2, seed=1, ema_decay=0.5
)


def run(workdir, batches=None, task=None, options=OPTIONS, held_out="", on_best=None):
    with stop_signals() as stop:
        return loop.train(
            task or LineTask(),
            make_optimizer(lr=0.1, steps=options.steps),
            batches or Batches(),
            options,
            workdir=workdir,
            title="toy",
            evaluation=loop.Evaluation([], held_out, on_best),
            stop=stop,
        )


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    return folder, run(folder)


def test_learns_and_reports(straight):
    folder, outcome = straight
    entries = lines(folder)
    train = [e for e in entries if e["group"] == "train"]
    assert [e["step"] for e in train] == list(range(1, 9))
    scores = {e["step"]: e["score"] for e in entries if e["group"] == "eval"}
    assert scores.keys() == {4, 8}
    assert scores[8] > scores[4]
    assert (folder / "pictures" / "picture_0000008.png").exists()
    assert set(outcome.metrics) == {"score"}


@pytest.mark.parametrize("when", [1, 3, 6])
def test_a_stopped_run_goes_on_bit_for_bit(straight, tmp_path, when):
    stop = Batches(at={when: lambda: signal.raise_signal(signal.SIGTERM)})
    with pytest.raises(Interrupted, match=f"step {when + 1}"):
        run(tmp_path, stop)
    outcome = run(tmp_path)
    folder, whole = straight
    assert lines(tmp_path) == lines(folder)
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)


@pytest.mark.parametrize("first", [3, 4])
def test_a_longer_run_goes_on_bit_for_bit(straight, tmp_path, first):
    shorter = dataclasses.replace(
        OPTIONS, steps=first, checkpoint_every=3, eval_every=0
    )
    run(tmp_path, options=shorter)
    outcome = run(tmp_path)
    folder, whole = straight
    trained, wanted = (
        [entry for entry in lines(where) if entry["group"] == "train"]
        for where in (tmp_path, folder)
    )
    assert trained == wanted
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)


def test_a_best_score_on_other_data_counts_no_more(tmp_path):
    best_steps = []

    def best(variables, metrics):
        best_steps.append(metrics["step"])

    class Worse(LineTask):
        def evaluate(self, variables, data):
            return {"score": -1e9}, {}

    for steps, held_out, task in ((4, "24", None), (6, "24", Worse())):
        options = dataclasses.replace(OPTIONS, steps=steps)
        run(tmp_path, None, task, options, held_out, best)
    assert best_steps == [4]
    run(tmp_path, None, Worse(), OPTIONS, "12", best)
    assert best_steps == [4, 8]


class SignalsInEvaluation(LineTask):
    """A signal comes while held-out data are evaluated."""

    def evaluate(self, variables, data):
        signal.raise_signal(signal.SIGTERM)
        return super().evaluate(variables, data)


def test_a_signal_during_evaluation_stops_the_run(straight, tmp_path):
    for words in ("step 4", "step 8", "all 8 steps"):
        with pytest.raises(Interrupted, match=words):
            run(tmp_path, task=SignalsInEvaluation())
    outcome = run(tmp_path)
    folder, whole = straight
    assert lines(tmp_path) == lines(folder)
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)


@pytest.fixture
def interruptible():
    """A shell without job control starts its background jobs with SIGINT ignored."""
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.mark.usefixtures("interruptible")
def test_a_second_signal_acts_as_ever():
    with stop_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_files_of_others_are_left_alone(tmp_path):
    folder = tmp_path / "checkpoints"
    (folder / "epoch1").mkdir(parents=True)
    (folder / ".hidden").touch()
    with pytest.raises(CheckpointError, match="epoch1"):
        run(tmp_path)
    assert (folder / "epoch1").is_dir()
    (folder / "epoch1").rmdir()
    run(tmp_path)
    assert (folder / ".hidden").exists()


def test_a_crash_between_checkpoints_loses_no_line(straight, tmp_path):
    def crash():
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run(tmp_path, Batches(at={5: crash}))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "gro')
    outcome = run(tmp_path)
    folder, whole = straight
    assert lines(tmp_path) == lines(folder)
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)


def test_a_finished_run_is_only_evaluated_again(straight):
    folder, whole = straight
    before = (folder / "metrics.jsonl").read_text()
    outcome = run(folder, Batches(at={0: lambda: None}))
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)
    assert outcome.metrics == whole.metrics
    assert (folder / "metrics.jsonl").read_text() == before


def test_a_nonfinite_term_stops_within_a_step(tmp_path):
    options = loop.LoopOptions(steps=8, log_every=100, checkpoint_every=100)
    batches = Batches()
    with pytest.raises(loop.NonFiniteLossError) as caught:
        run(tmp_path, batches, LineTask(poison_step=3), options)
    message = str(caught.value)
    assert "step 4" in message
    assert "poison = nan" in message
    assert "image a.jpg" in message
    assert batches.position <= 5


def test_a_flipped_byte_is_named(tmp_path):
    run(tmp_path, options=loop.LoopOptions(steps=2, checkpoint_every=1))
    files = [p for p in (tmp_path / "checkpoints" / "2").rglob("*") if p.is_file()]
    victim = max(files, key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match=victim.name) as caught:
        run(tmp_path, options=loop.LoopOptions(steps=4, checkpoint_every=1))
    assert "remove" in str(caught.value)


def test_a_checkpoint_without_manifest_is_unfinished(straight, tmp_path):
    with pytest.raises(Interrupted):
        run(tmp_path, Batches({5: lambda: signal.raise_signal(signal.SIGTERM)}))
    manifests = sorted(int(p.stem) for p in (tmp_path / "manifests").glob("*.json"))
    (tmp_path / "manifests" / f"{manifests[-1]}.json").unlink()
    outcome = run(tmp_path)
    folder, whole = straight
    assert lines(tmp_path) == lines(folder)
    jax.tree.map(np.testing.assert_array_equal, outcome.variables, whole.variables)


@pytest.mark.parametrize("count", [2, 4])
def test_any_number_of_devices_gives_the_same_steps(count):
    task, optimizer = LineTask(), make_optimizer(lr=0.1, steps=3)

    def steps(devices):
        batches = Batches()
        moving = state.init_state(task, optimizer, None, seed=0)
        moving = step.replicate(moving, devices)
        step_fn = step.make_train_step(task, optimizer, devices=devices)
        losses = []
        for _ in range(3):
            batch = step.shard(next(batches), len(devices))
            moving, metrics, _ = step_fn(moving, None, batch)
            losses.append(step.first_replica(metrics)["loss"])
        return losses, step.first_replica(moving)

    one, many = steps(jax.devices()[:1]), steps(jax.devices()[:count])
    np.testing.assert_allclose(many[0], one[0], rtol=1e-5)
    np.testing.assert_allclose(
        many[1].variables["params"]["w"], one[1].variables["params"]["w"], rtol=1e-5
    )
    assert many[1].task_state["seen"] == 12


def test_the_step_is_compiled_once(caplog):
    task, optimizer, batches = (
        LineTask(),
        make_optimizer(lr=0.1, steps=3),
        Batches(),
    )
    moving = step.replicate(state.init_state(task, optimizer, next(batches), seed=0))
    step_fn = step.make_train_step(task, optimizer)
    with jax.log_compiles(), caplog.at_level("WARNING", logger="jax"):
        for _ in range(3):
            moving, _, _ = step_fn(moving, None, step.shard(next(batches)))
    compiled = [r for r in caplog.records if "XLA compilation" in r.getMessage()]
    assert len(compiled) == 1


def volume_batches(order, at=None):
    """Return batches of volumes; at a position, a signal comes."""
    source = volumes()
    orders = {
        "weighted": lambda: Weighted(
            source.groups, round_size=8, seed=2, shares={0: 0.5, 1: 0.25, 2: 0.25}
        ),
        "balanced": lambda: Balanced(source.groups, count=2, per_group=2, seed=2),
    }

    class Signalled(pipeline.Batches):
        def __next__(self):
            if self.get_state()["next_index"] == at:
                signal.raise_signal(signal.SIGTERM)
            return super().__next__()

    return Signalled(source, orders[order](), batch_size=4, num_threads=1)


@pytest.mark.parametrize(("order", "stops"), [("weighted", (3, 4)), ("balanced", (3,))])
def test_statistics_teacher_and_sampler_go_on_bit_for_bit(tmp_path, order, stops):
    """The losses decide the weighted order; stops are at a round's end and within."""
    options = loop.LoopOptions(steps=7, log_every=3, checkpoint_every=100)
    task = VolumeTask(Average(0.9, warm_up=True, is_teacher=True, is_evaluated=False))

    def train(folder, at=None):
        with stop_signals() as stop:
            return loop.train(
                task,
                make_optimizer(lr=0.05, steps=7),
                volume_batches(order, at),
                options,
                workdir=tmp_path / folder,
                title="toy",
                evaluation=loop.Evaluation(volumes(3)),
                stop=stop,
            )

    whole = train("straight")
    for when in stops:
        with pytest.raises(Interrupted, match=f"step {when + 1}"):
            train("stopped", when)
    result = train("stopped")
    assert lines(tmp_path / "stopped") == lines(tmp_path / "straight")
    jax.tree.map(np.testing.assert_array_equal, result.variables, whole.variables)
    assert result.variables.keys() == {"params", "batch_stats"}
    last = lines(tmp_path / "straight")[-2]
    assert last["teacher_kernel"] != whole.variables["params"]["head"]["kernel"][0, 0]


def test_a_sampler_by_loss_reads_hard_examples_more_often(tmp_path):
    """The first volumes have loss 0 from the start; they are hardly read again."""

    class Easy(VolumeTask):
        def loss(self, variables, task_state, teacher, batch, key, step):
            total, aux = super().loss(variables, task_state, teacher, batch, key, step)
            hard = (batch["record"] >= 8).astype(jnp.float32)
            return total, aux._replace(examples={"loss": hard})

    source, seen = volumes(), []

    class Watched(pipeline.Batches):
        def record(self, examples):
            seen.append(examples["record"])
            super().record(examples)

    order = Weighted(np.zeros(12, int), round_size=64, seed=0)
    batches = Watched(source, order, batch_size=4, num_threads=0)
    loop.train(
        Easy(),
        make_optimizer(lr=0.1, steps=32),
        batches,
        loop.LoopOptions(steps=32, log_every=5),
        workdir=tmp_path,
        title="toy",
    )
    assert len(seen) == 32
    assert (np.concatenate(seen[:16]) < 8).mean() > 0.4
    assert (np.concatenate(seen[16:]) < 8).mean() < 0.05


def test_only_one_average_is_kept(tmp_path):
    with pytest.raises(ValueError, match=r"ema_decay is 0\.5, but this task keeps"):
        run(tmp_path, task=VolumeTask(Average(0.9)))

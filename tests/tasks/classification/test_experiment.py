"""The whole experiment of classes: killed, resumed, on any devices, used."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import rkd_jax
from rkd_jax import weights
from rkd_jax.config import Config
from rkd_jax.tasks import classification, networks
from rkd_jax.tasks.classification import (
    ClassificationConfig,
    ClassificationData,
    ClassifierModel,
)
from rkd_jax.tasks.classification import data as classification_data
from rkd_jax.training import experiment, start_weights, step
from rkd_jax.training.checkpoint import Checkpoints
from rkd_jax.training.state import TrainState

STEPS, LR = 6, 0.01
EMBEDDINGS = ("student_embed", "teacher_embed")
COUNTS = {"a": 12, "b": 8, "c": 6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write images of three classes, which differ in their color."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number, (name, count) in enumerate(COUNTS.items()):
        (root / name).mkdir()
        for image in range(count):
            pixels = rng.integers(0, 120, (20, 20, 3), np.uint8)
            pixels[..., number] += 100
            Image.fromarray(pixels).save(root / name / f"{image}.png")
    return root


def make_config(folder, **task):
    own = {"positives": 3, "negatives": 8, "embed_dim": 8, "start_epoch": 1, **task}
    config = Config(
        task=ClassificationConfig(ramp_epochs=2, **own),
        data=ClassificationData(
            kind="folders", data_dir=str(folder), size=16, shares=(2, 1, 1)
        ),
        model=small_model(),
    )
    config.data.batch_size, config.data.num_threads = 8, 0
    config.loop.steps, config.optim.lr = STEPS, LR
    config.loop.eval_pairs, config.loop.eval_every = 1, 0
    config.loop.log_every, config.loop.checkpoint_every = 1, 2
    return config


def small_model(**options):
    return ClassifierModel(
        name="small_cnn",
        out_channels=3,
        embedding_dim=6,
        channels=(4, 8),
        **options,
    )


@pytest.fixture(scope="module")
def straight(folder, tmp_path_factory):
    """Return the folder of a run on all devices, and its metrics."""
    out = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        seen = watch_replicas(patch)
        results = experiment.run(make_config(folder), out)
    assert_equal_replicas(seen, 4)
    return out, results


def watch_replicas(patch):
    """Return the list of states to be saved: arrays `[devices, ...]`."""
    first, seen = step.first_replica, []

    def copies(x):
        return np.concatenate([shard.data for shard in x.addressable_shards])

    def watched(tree):
        if isinstance(tree, TrainState):
            seen.append(jax.tree.map(copies, tree))
        return first(tree)

    patch.setattr(step, "first_replica", watched)
    return seen


def assert_equal_replicas(seen, count):
    assert int(seen[-1].step[0]) == STEPS
    for copies in jax.tree.leaves(seen):
        assert len(copies) == count
        assert (copies == copies[:1]).all()


def saved_state(folder, like):
    """Return the state of the last checkpoint of a run."""
    checkpoints = Checkpoints(folder)
    try:
        return checkpoints.restore(STEPS, like)[0]
    finally:
        checkpoints.close()


def train_lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["group"] == "train"]


def test_terms_begin_when_they_are_to(straight):
    """13 images of 8 are an epoch of 1.625 steps: terms begin with the third one."""
    lines = train_lines(straight[0])
    assert len(lines) == STEPS
    for number, line in enumerate(lines):
        expected = line["cross_entropy"] + 0.1 * line["contrast"]
        if number * 8 >= 13:
            epoch = number * 8 // 13
            rise = np.exp(-5 * (1 - min(epoch, 2) / 2) ** 2)
            expected += rise * line["prediction"] + line["relation"]
        assert line["loss"] == pytest.approx(expected, rel=1e-5)
        assert line["relation"] > 0


class PowerCut(Exception):
    """Ends a run in the middle."""


def test_a_killed_run_goes_on_bit_for_bit_with_its_banks(
    folder, straight, tmp_path, monkeypatch
):
    from rkd_jax.data.pipeline import Batches

    following, calls = Batches.__next__, itertools.count(1)

    def until_the_cut(self):
        if next(calls) == 5:
            raise PowerCut
        return following(self)

    with monkeypatch.context() as patch:
        patch.setattr(Batches, "__next__", until_the_cut)
        with pytest.raises(PowerCut):
            experiment.run(make_config(folder), tmp_path)
    assert 0 < len(train_lines(tmp_path)) < STEPS
    assert experiment.run(make_config(folder), tmp_path) == straight[1]
    assert train_lines(tmp_path) == train_lines(straight[0])
    for name in ("weights", "student"):
        ours, theirs = (
            weights.load(x / f"{name}.safetensors").sha256
            for x in (tmp_path, straight[0])
        )
        assert ours == theirs


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_devices_train_as_four(
    folder, straight, tmp_path, monkeypatch, count
):
    some = jax.devices()[:count]
    make, replicate, shard = step.make_train_step, step.replicate, step.shard
    monkeypatch.setattr(
        step, "make_train_step", lambda *a, **k: make(*a, devices=some, **k)
    )
    monkeypatch.setattr(step, "replicate", lambda tree: replicate(tree, some))
    monkeypatch.setattr(step, "shard", lambda batch: shard(batch, count))
    assert jax.local_device_count() == 4
    seen = watch_replicas(monkeypatch)
    experiment.run(make_config(folder), tmp_path)
    assert_equal_replicas(seen, count)
    like = jax.tree.map(lambda copies: copies[0], seen[-1])
    ours, theirs = (
        saved_state(one, like).task_state["banks"] for one in (tmp_path, straight[0])
    )
    assert ours.z_student > 0
    assert ours.z_teacher > 0
    for name in ("z_student", "z_teacher"):
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=1e-5
        )
    for name in ("student", "teacher"):
        # Rows of length 1. Sums are in another order, and Adam enlarges what rounding
        # leaves of small gradients; a row of another image or step is off by .1.
        np.testing.assert_allclose(
            getattr(ours, name), getattr(theirs, name), rtol=0, atol=1e-3
        )
    for ours, theirs in zip(
        train_lines(tmp_path), train_lines(straight[0]), strict=True
    ):
        for name in ("contrast", "relation", "prediction", "cross_entropy"):
            # The sums of 8 images in another order; the banks enter the first two.
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-5)


def test_the_weights_are_of_a_classifier(folder, straight):
    out, results = straight
    found = {
        name: rkd_jax.load_classifier(out / f"{name}.safetensors")
        for name in ("weights", "student")
    }
    for one in found.values():
        assert one.settings.classes == ("a", "b", "c")
        assert one.settings.size == 16
        assert one.settings.temperature != 1.0
        assert one.settings.embedding is not None
    ours, theirs = (one.weights.variables["params"] for one in found.values())
    apart = jax.tree.map(lambda x, y: np.abs(x - y).max(), ours, theirs)
    assert max(jax.tree.leaves(apart)) > 0
    # The score of the run is that of the classifier on the same images.
    val = classification.held_out(make_config(folder))
    squares = np.stack([val[number]["image"] for number in range(len(val))])
    predicted = found["weights"].outputs(squares).logits.argmax(axis=1)
    recall = [np.mean(predicted[val.groups == k] == k) for k in range(3)]
    assert results["network"]["score"] == pytest.approx(np.mean(recall))


def test_relations_to_rows_of_each_class(folder, tmp_path, straight):
    config = make_config(folder, anchor_rows=4)
    config.loop.steps = 3
    experiment.run(config, tmp_path)
    ours, theirs = train_lines(tmp_path), train_lines(straight[0])
    # The first step differs in nothing else.
    for name in ("cross_entropy", "contrast", "prediction"):
        assert ours[0][name] == theirs[0][name]
    assert ours[0]["relation"] != theirs[0]["relation"]
    assert all(np.isfinite(line["loss"]) for line in ours)


def test_relations_alone_leave_the_teachers_embedding_as_it_was_drawn(folder):
    """No term moves it without the contrast, nor may weight decay."""
    config = make_config(folder, contrast_weight=0.0)
    source = classification.training_source(config)
    for weight, trained in ((0.0, {"student_embed"}), (0.1, set(EMBEDDINGS))):
        config.task.contrast_weight = weight
        task = classification.make(config, source, {})
        variables, _ = task.init(jax.random.key(0), {})
        assert set(variables["params"]) == {"network", *trained}
        assert set(variables.get("fixed", {})) == set(EMBEDDINGS) - trained
        assert set(task.network(variables)) == {"params", "batch_stats"}


def test_a_run_starts_from_a_network_for_other_classes(folder, tmp_path):
    start = tmp_path / "start.safetensors"
    other = classification.ClassifierModel(
        name="small_cnn", out_channels=7, embedding_dim=0, channels=(4, 8)
    )
    network = networks.build(other)
    drawn = network.init(jax.random.key(9), jnp.zeros((1, 16, 16, 3)))
    data = ClassificationData()
    weights.save(
        start,
        drawn,
        model="small_cnn",
        options=networks.stored_options(other),
        preprocess={"size": 16, "mean": list(data.mean), "std": list(data.std)},
    )
    config = make_config(folder)
    config.init_weights = str(start)
    used = start_weights.load_for(config, "start", str(start))
    task = classification.make(config, classification.training_source(config), {})
    fresh, _ = task.init(jax.random.key(0), {})
    found = task.network(task.load(fresh, used.variables))["params"]
    assert found["logits"]["kernel"].shape == (6, 3)
    conv = found["conv0"], drawn["params"]["conv0"]
    for ours, theirs in zip(*map(jax.tree.leaves, conv), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    config.model.channels = (4, 9)
    with pytest.raises(ValueError, match=r"channels = .*4, 8.*asks for .*4, 9"):
        start_weights.load_for(config, "start", str(start))


@pytest.mark.parametrize(
    ("choice", "parts"), [("train", ("train",)), ("all", ("train", "val", "test"))]
)
def test_classes_weigh_by_the_images_of_the_parts(folder, choice, parts):
    config = make_config(folder, class_weights=choice)
    task = classification.make(config, classification.training_source(config), {})
    divided = classification_data.parts(config.data)
    labels = np.concatenate([divided[part].labels for part in parts])
    expected = len(labels) / np.bincount(labels)
    np.testing.assert_allclose(task.facts.class_weights, expected, rtol=1e-6)
    config.task.class_weights = "none"
    task = classification.make(config, classification.training_source(config), {})
    assert task.facts.class_weights.tolist() == [1, 1, 1]


def test_cross_entropy_alone_has_no_banks(folder, tmp_path):
    config = make_config(
        folder, prediction_weight=0.0, contrast_weight=0.0, relation_weight=0.0
    )
    config.loop.steps = 2
    experiment.run(config, tmp_path)
    line = train_lines(tmp_path)[0]
    assert line["loss"] == line["cross_entropy"]
    assert not {"contrast", "relation", "prediction"} & set(line)


def test_rows_and_seeds_are_runs_of_one_experiment(folder):
    config = make_config(folder, compare_terms=True, seeds=2)
    found = classification.stages(config)
    titles = [one.title for one in found]
    rows = ("ce", "mt", "ccd", "network")
    expected = [f"{row}_{seed}" for seed in (0, 1) for row in rows]
    assert sorted(titles) == sorted(expected)
    assert titles[-1] == "network_0"
    assert found[-1].folder == ""
    terms = ("prediction_weight", "contrast_weight", "relation_weight")
    for one in found:
        row, seed = one.title.split("_")
        assert one.config.seed == int(seed)
        used = [getattr(one.config.task, term) > 0 for term in terms]
        assert sum(used) == rows.index(row)
        assert used == sorted(used, reverse=True)


def test_a_frozen_network_teaches_another(folder, tmp_path):
    config = make_config(folder, distill=True, compare_scratch=True)
    config.task.teacher.model = small_model()
    config.task.teacher.steps = 2
    config.model = ClassifierModel(
        name="resnet", out_channels=3, embedding_dim=4, widths=(4, 4), depths=(1, 1)
    )
    results = experiment.run(config, tmp_path)
    assert list(results) == ["teacher", "scratch", "student"]
    teacher = weights.load(tmp_path / "teacher" / "weights.safetensors")
    assert teacher.model == "small_cnn"
    assert weights.load(tmp_path / "weights.safetensors").model == "resnet"
    assert train_lines(tmp_path)[0]["contrast"] > 0
    # Those without a teacher learn by cross-entropy alone.
    for run in ("teacher", "scratch"):
        assert "prediction" not in train_lines(tmp_path / run)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.out_channels": 5}, r"out_channels is 5, but .* 3 classes \(a, b, c\)"),
        ({"optim.ema_decay": 0.9}, r"ema_decay is 0\.9"),
        ({"data.folds": 1}, r"config\.data\.folds is 1"),
        ({"data.kind": "table"}, r"config\.data\.table is empty"),
        ({"data.size": 64, "data.crop": 64}, r"config\.data\.crop is 64"),
        ({"data.shares": (1, 1)}, r"config\.data\.shares"),
        ({"data.labeled_share": 0.5}, r"labeled_share is 0\.5; all images"),
        ({"task.start_epoch": 4}, r"start_epoch is 4, but the run has 3\.7 epochs"),
        (
            {"task.distill": True, "task.compare_terms": True},
            "distill and config.task.compare_terms are both",
        ),
        (
            {"model.name": "frrn"},
            "config.model.name: 'frrn' gives no classes; expected densenet, res",
        ),
    ],
)
def test_bad_configs(folder, tmp_path, change, message):
    config = make_config(folder)
    for name, value in change.items():
        section, field = name.split(".")
        setattr(getattr(config, section), field, value)
    with pytest.raises(ValueError, match=message):
        experiment.run(config, tmp_path)


def test_gradients_reach_what_they_should(folder):
    """The student and its embedding by all terms, the teacher's by the contrast."""
    config = make_config(folder, start_epoch=0)
    source = classification.training_source(config)
    batch = {
        name: np.stack([source[number][name] for number in range(6)])
        for name in ("image", "label", "index")
    } | {"example": np.arange(6)}

    def moved(**weights):
        for name in ("prediction_weight", "contrast_weight", "relation_weight"):
            setattr(config.task, name, weights.get(name, 0.0))
        task = classification.make(config, source, {})
        variables, state = task.init(jax.random.key(0), batch)
        noise = jax.tree.map(lambda x: x + 0.01, variables)

        def loss(params):
            return task.loss(
                {**variables, "params": params},
                state,
                noise,
                batch,
                jax.random.key(1),
                jnp.array(0),
            )[0]

        grads = jax.grad(loss)(variables["params"])
        return {
            name: max(float(jnp.abs(x).max()) for x in jax.tree.leaves(tree))
            for name, tree in grads.items()
        }

    relation = moved(relation_weight=1.0)
    assert relation["student_embed"] > 0
    assert "teacher_embed" not in relation  # nothing to learn
    contrast = moved(contrast_weight=1.0)
    assert contrast["student_embed"] > 0
    assert contrast["teacher_embed"] > 0
    assert moved(prediction_weight=1.0)["network"] > 0

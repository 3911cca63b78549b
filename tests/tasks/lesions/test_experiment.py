"""The whole experiment of lesions: runs in order, killed, resumed, on any devices."""

import itertools
import json

import jax
import numpy as np
import pytest

import rkd_jax
from rkd_jax import weights
from rkd_jax.config import Config
from rkd_jax.tasks import lesions
from rkd_jax.tasks.lesions import LesionsConfig, LesionsData, LesionsModel
from rkd_jax.training import experiment, step
from rkd_jax.training.signals import Interrupted

RUNS = ("full", "half", "cls", ".")
STEPS = 6
LR = 0.01


def make_config(**task):
    config = Config(
        task=LesionsConfig(compare_cls=True, **task),
        data=LesionsData(lesion="haemorrhages", size=128),
        model=LesionsModel(
            proposal=lesions.ProposalModel(
                name="small_segmenter:Segmenter", width=4, lanes=1
            ),
            patches=lesions.PatchesModel(
                widths=(4, 8), depths=(1, 1), bottleneck=False
            ),
        ),
    )
    config.task.proposals.crop = config.task.patch_px = 16
    config.task.proposals.steps = config.loop.steps = STEPS
    config.task.proposals.batch_size = 8
    config.task.proposals.lr = config.task.proposals.half_lr = LR
    config.task.negative_patches, config.task.round_batches = 200, 2
    config.task.hard_share = 0.5
    config.data.synthetic_labeled, config.data.synthetic_unlabeled = 2, 1
    config.data.batch_size, config.data.num_threads = 12, 0
    config.optim.lr = LR
    config.loop.eval_pairs, config.loop.eval_every = 1, 0
    config.loop.log_every, config.loop.checkpoint_every = 1, 4
    return config


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Return the folder of a run on all devices, and its metrics."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, experiment.run(make_config(), folder)


def train_lines(folder):
    text = (folder / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["group"] == "train"]


def test_the_last_file_holds_the_networks_of_all_runs(straight):
    folder, results = straight
    assert list(results) == ["full", "half", "cls", "classifier"]
    last = weights.load(folder / "weights.safetensors")
    cls = weights.load(folder / "cls" / "weights.safetensors")
    assert last.model == cls.model == "two_stage"
    for part in ("full", "half"):
        alone = weights.load(folder / part / "weights.safetensors")
        assert alone.preprocess["part"] == part
        for kind, tree in alone.variables.items():
            for both in (last, cls):
                jax.tree.map(
                    np.testing.assert_array_equal, tree, both.variables[kind][part]
                )
    ours, theirs = (x.variables["params"]["classifier"] for x in (last, cls))
    apart = jax.tree.map(lambda a, b: np.abs(a - b).max(), ours, theirs)
    assert max(jax.tree.leaves(apart)) > 0


def test_the_triplet_loss_is_what_differs_between_both_classifiers(straight):
    folder, _ = straight
    first, other = (train_lines(folder / name)[0] for name in ("cls", "."))
    assert first["cross_entropy"] == other["cross_entropy"]
    assert first["loss"] == first["cross_entropy"] < other["loss"]


def test_the_detector_takes_the_weights_as_they_are(straight):
    from rkd_jax.synthetic import fundus

    folder, _ = straight
    detector = rkd_jax.load_lesion_detector(folder / "weights.safetensors")
    assert detector.settings.lesion == "haemorrhages"
    assert detector.settings.scale.field_px == 128
    found = detector.detect(fundus.diabetic(7, size=200).image)
    assert found.ok
    assert found.probability.max() > 0


class PowerCut(Exception):
    """Ends a run in the middle."""


def test_a_killed_run_goes_on_bit_for_bit_with_its_sampler(
    straight, tmp_path, monkeypatch
):
    """Cut in each run, in the middle of a round; the sampler goes by losses."""
    from rkd_jax.data.pipeline import Batches

    following = Batches.__next__
    # Of all runs together: batches are read once more where a run begins, for their
    # shapes. The first cut is in "half", the other at the classifier's last step.
    for cut in (12, 1 + 7 + 7 + 7):
        calls = itertools.count(1)

        def until_the_cut(self, calls=calls, cut=cut):
            if next(calls) == cut:
                raise PowerCut
            return following(self)

        with monkeypatch.context() as patch:
            patch.setattr(Batches, "__next__", until_the_cut)
            with pytest.raises(PowerCut):
                experiment.run(make_config(), tmp_path)
    assert len(train_lines(tmp_path / ".")) == STEPS - 1
    results = experiment.run(make_config(), tmp_path)
    whole, expected = straight
    assert results == expected
    for name in RUNS:
        ours, theirs = (
            weights.load(x / name / "weights.safetensors") for x in (tmp_path, whole)
        )
        assert ours.sha256 == theirs.sha256
        assert train_lines(tmp_path / name) == train_lines(whole / name)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_devices_train_as_four(straight, tmp_path, monkeypatch, count):
    some = jax.devices()[:count]
    make, replicate, shard = step.make_train_step, step.replicate, step.shard
    monkeypatch.setattr(
        step, "make_train_step", lambda *a, **k: make(*a, devices=some, **k)
    )
    monkeypatch.setattr(step, "replicate", lambda tree: replicate(tree, some))
    monkeypatch.setattr(step, "shard", lambda batch: shard(batch, count))
    assert jax.local_device_count() == 4
    experiment.run(make_config(), tmp_path)
    whole, _ = straight
    # Sums of n terms differ by up to n eps; a step of Adam moves a weight by about lr.
    tolerance = STEPS * LR * 8 * 16 * 16 * float(np.finfo(np.float32).eps)
    for name in RUNS:
        ours, theirs = (
            weights.load(x / name / "weights.safetensors") for x in (tmp_path, whole)
        )
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=0, atol=tolerance),
            ours.variables,
            theirs.variables,
        )


def test_given_networks_are_not_trained_again(straight, tmp_path):
    folder, _ = straight
    config = make_config()
    config.task.compare_cls = False
    for part in ("full", "half"):
        path = str(folder / part / "weights.safetensors")
        setattr(config.task.proposals, part, path)
    results = experiment.run(config, tmp_path)
    assert list(results) == ["classifier"]
    ours, theirs = (
        weights.load(x / "weights.safetensors").sha256 for x in (tmp_path, folder)
    )
    assert ours == theirs


def test_networks_for_the_other_scale_or_lesion_are_refused(straight, tmp_path):
    folder, _ = straight
    config = make_config()
    half = str(folder / "half" / "weights.safetensors")
    config.task.proposals.full = half
    with pytest.raises(ValueError, match=r"proposals\.full: .*'half'.*part=full"):
        experiment.run(config, tmp_path / "scale")
    config.task.proposals.full = ""
    config.task.proposals.half = half
    config.data.lesion = "hard_exudates"
    with pytest.raises(ValueError, match=r"lesion = haemorrhages.*hard_exudates"):
        experiment.run(config, tmp_path / "lesion")
    assert not (tmp_path / "lesion").exists()


def test_a_small_network_teaches_both_proposal_networks(tmp_path):
    config = make_config()
    config.task.compare_cls = False
    proposals = config.task.proposals
    proposals.distill, proposals.teacher.steps = True, 2
    proposals.teacher.model = lesions.ProposalModel(
        name="small_segmenter:Segmenter", width=2, lanes=1
    )
    results = experiment.run(config, tmp_path)
    names = ["teacher_full", "full", "teacher_half", "half", "classifier"]
    assert list(results) == names
    for part in ("full", "half"):
        assert "teacher" not in train_lines(tmp_path / f"teacher_{part}")[0]
        assert train_lines(tmp_path / part)[0]["teacher"] > 0
        teacher = weights.load(tmp_path / f"teacher_{part}" / "weights.safetensors")
        assert (teacher.options["width"], teacher.preprocess["part"]) == (2, part)


def test_one_proposal_network_can_be_trained_alone(tmp_path):
    config = make_config(part="half")
    config.model = config.model.proposal
    results = experiment.run(config, tmp_path)
    assert list(results) == ["half"]
    loaded = weights.load(tmp_path / "weights.safetensors")
    assert loaded.model == "small_segmenter:Segmenter"
    assert "compute_dtype" not in loaded.options


def test_a_new_classifier_starts_from_that_of_a_file(straight, tmp_path):
    folder, _ = straight
    config = make_config()
    config.task.compare_cls, config.loop.steps = False, 1
    config.optim.lr = 1e-12
    config.init_weights = str(folder / "weights.safetensors")
    experiment.run(config, tmp_path)
    ours, theirs = (
        weights.load(x / "weights.safetensors").variables["params"]["classifier"]
        for x in (tmp_path, folder)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9), ours, theirs)


def test_a_signal_saves_between_the_steps_of_the_classifier(
    straight, tmp_path, monkeypatch
):
    import signal

    from rkd_jax.data.weighted import Weighted

    begin = Weighted.begin

    def stop(self, number):
        begin(self, number)
        if number == 2:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Weighted, "begin", stop)
        with pytest.raises(Interrupted):
            experiment.run(make_config(), tmp_path)
    _, expected = straight
    assert experiment.run(make_config(), tmp_path) == expected

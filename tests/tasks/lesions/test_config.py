"""What an experiment with lesions must be, and what its files must be."""

import pathlib
import runpy
import sys

import numpy as np
import pytest
from made_eyes import draw_eye
from made_lesion_folders import (
    lesions_config,
    lesions_data,
    mask_of,
    photograph,
    save,
    write_folders,
)

from rkd_jax import tasks, train
from rkd_jax.config import Config, DataConfig, ModelConfig
from rkd_jax.tasks.lesions import LesionsConfig, LesionsModel, ProposalModel, patches

ROOT = pathlib.Path(__file__).parents[3]


def experiment(variant=""):
    return runpy.run_path("configs/lesions.py")["get_config"](variant)


@pytest.mark.parametrize("variant", ["", "demo", "thin", "idrid", "idrid,thin"])
def test_the_experiments_are_valid(variant):
    config = experiment(variant)
    if config.data.kind == "idrid":
        config.data.data_dir = "IDRiD"
    assert config.validate() is config


def test_the_weights_file_says_how_maps_are_joined():
    config = experiment("thin")
    config.task.classifier_weight, config.task.rim = 0.125, 0.02
    facts = tasks.load("lesions").preprocess(config)
    assert (facts["classifier_weight"], facts["rim"]) == (0.125, 0.02)


def test_the_demo_has_eyes_of_its_own():
    with pytest.raises(ValueError, match="variant demo is of drawn eyes"):
        experiment("demo,idrid")


def change(config, field, value):
    *groups, last = field.split(".")
    for group in groups:
        config = getattr(config, group)
    setattr(config, last, value)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data.kind", "superretina", r"data\.kind is .*synthetic, idrid, folder, tfds"),
        ("data.kind", "idrid", r"data\.data_dir is empty"),
        ("data.lesion", "drusen", r"data\.lesion is 'drusen'.*microaneurysms, haem"),
        ("data.hold_out_every", 1, r"hold_out_every is 1: every .* 0 \(none\), 2 or"),
        ("data.hold_out_every", -1, r"hold_out_every must be finite, at least 0"),
        ("data.crop", 64, r"data\.crop is 64.*config\.task\.proposals\.crop"),
        ("data.size", 63, r"data\.size must be finite, at least 64"),
        ("data.sigma_px", 0.0, r"sigma_px must be finite, positive"),
        ("data.gain", -1.0, r"gain must be finite, positive"),
        ("data.batch_size", 8, r"batch_size must be a multiple of 3.* it is 8"),
        ("task.part", "quarter", r"task\.part is 'quarter'.* all, full, half"),
        ("task.patch_px", 17, r"patch_px must be even; it is 17"),
        ("task.patch_px", 6, r"patch_px must be finite, at least 8"),
        ("task.negatives", "some", r"negatives is 'some'.* all, healthy"),
        ("task.distance", "cos", r"distance is 'cos'.* angular, cosine, l2"),
        ("task.fusion", "median", r"'median'.*refined_geometric"),
        ("task.threshold", 0.0, r"threshold must be finite"),
        ("task.region_threshold", 1.0, r"region_threshold must be finite"),
        ("task.triplet_weight", -1.0, r"triplet_weight must be finite"),
        ("task.proposals.crop", 72, r"proposals\.crop must be a multiple of 16.* 72"),
        ("task.proposals.lesion_share", 1.0, r"lesion_share must be finite"),
        ("task.proposals.largest_weight", 0.5, r"largest_weight must be finite"),
        ("model.name", "frrn", r"config\.model\.name must be 'two_stage'"),
        ("model.name", "no_net", r"config\.model: unknown network 'no_net'"),
        ("model.proposal.name", "no_net", r"config\.model\.proposal: .*'no_net'"),
        ("model.proposal.name", "resnet", r"model\.proposal\.name is 'resnet'.*reach"),
        ("model.proposal.out_channels", 2, r"model\.proposal\.out_channels"),
        ("model.proposal.width", 0, r"config\.model\.proposal\.width"),
        ("model.patches.name", "no_net", r"config\.model\.patches: .*'no_net'"),
        ("model.patches.out_channels", 3, r"model\.patches\.out_channels"),
        ("model.patches.depths", (1, 2), r"config\.model\.patches"),
    ],
)
def test_what_lesions_cannot_have_is_named(field, value, message):
    config = lesions_config()
    assert config.validate() is config
    change(config, field, value)
    with pytest.raises(ValueError, match=message):
        config.validate()


def test_what_must_be_together_is_named():
    config = lesions_config(lesions_data(kind="folder", data_dir="x"))
    with pytest.raises(ValueError, match=r"masks_dir is empty.*masks_dir=DIR"):
        config.validate()
    config = lesions_config()
    config.task.proposals.ce_weight = config.task.proposals.dice_weight = 0.0
    with pytest.raises(ValueError, match=r"ce_weight and dice_weight are both 0"):
        config.validate()
    config = lesions_config()
    config.task.proposals.teacher.model.name = "no_net"
    config.validate()  # nobody asks for a teacher
    config.task.proposals.distill = True
    with pytest.raises(ValueError, match=r"task\.proposals\.teacher\.model: unknown"):
        config.validate()
    config = lesions_config()
    config.data = DataConfig()
    with pytest.raises(ValueError, match="'lesions' reads a LesionsData"):
        config.validate()


def test_a_teacher_must_have_a_map_of_lesions():
    config = lesions_config()
    config.task.proposals.distill = True
    config.validate()
    config.task.proposals.teacher.model = LesionsModel()
    with pytest.raises(ValueError, match=r"task\.proposals\.teacher\.model"):
        config.validate()
    config.task.proposals.teacher.model = ProposalModel(out_channels=3)
    with pytest.raises(ValueError, match=r"teacher\.model\.out_channels must be 1"):
        config.validate()


@pytest.mark.parametrize("model", [ModelConfig(), ProposalModel()])
def test_an_experiment_needs_all_three_networks(model):
    with pytest.raises(ValueError, match=r"config\.model"):
        Config(task=LesionsConfig(), model=model).validate()


def test_one_part_has_a_batch_of_its_own():
    """Only the classifier has triplets."""
    config = lesions_config(part="full")
    config.model, config.data.batch_size = config.model.proposal, 8
    assert config.validate() is config
    config.model = ModelConfig()
    with pytest.raises(ValueError, match=r"config\.model"):
        config.validate()


@pytest.mark.parametrize("part", ["full", "half"])
def test_one_part_of_an_experiment_is_trained_as_in_the_whole(part):
    """A command line changes `config.task.part`, not the class of `config.model`."""
    stages = tasks.load("lesions").stages
    config = lesions_config()
    config.task.proposals.lr, config.task.proposals.half_lr = 0.25, 0.125
    whole = {stage.title: stage.config for stage in stages(config)}
    config.task.part = part
    (alone,) = stages(config.validate())
    assert (alone.folder, alone.config) == ("", whole[part])


# ml_collections loads config files in a way that Python has deprecated.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_command_line_reaches_networks_inside(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    asked = []
    monkeypatch.setattr(train, "prepare_jax", lambda cache_dir: None)
    monkeypatch.setattr(train, "train", lambda *given: asked.append(given))

    def call(*options):
        return train.main(["--config", "lesions:demo", *options])

    given = ["--config.model.proposal.width=3", "--config.model.patches.depths=(2,1,1)"]
    assert call(*given, "--config.data.lesion=haemorrhages") == 0
    config = asked.pop()[0].validate()
    assert config.model.proposal.width == 3
    assert config.model.patches.depths == (2, 1, 1)
    assert config.data.lesion == "haemorrhages"
    for option in ("model.proposal.widht", "model.patches.colour", "data.lesions"):
        with pytest.raises(SystemExit) as ended:
            call(f"--config.{option}=3")
        assert ended.value.code == 2
        assert f"config.{option}: no such field" in capsys.readouterr().err
    assert not asked
    monkeypatch.undo()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["program"])
    assert call("--config.data.lesion=drusen") == 2
    message = capsys.readouterr().err
    assert "config.data.lesion is 'drusen'" in message
    assert "Traceback" not in message


def training_patches(root, task=None, **changes):
    """Return the patches of files as `write_folders` wrote them, of changed options."""
    options = {**write_folders(root), **changes}
    config = lesions_config(lesions_data(**options), **(task or {}))
    return patches.training_patches(config.validate())


def test_a_mask_of_another_size(tmp_path):
    training_patches(tmp_path)
    bad = save(tmp_path / "masks/eye2_MA.png", mask_of()[:-1])
    save(tmp_path / "photographs/eye2.png", photograph())
    with pytest.raises(ValueError, match=r"400x359 px.* 400x360 px") as caught:
        training_patches(tmp_path)
    assert str(caught.value).startswith(f"{bad}: ")
    assert str(tmp_path / "photographs/eye2.png") in str(caught.value)


def test_a_mask_without_photograph(tmp_path):
    bad = save(tmp_path / "masks/eye7_MA.png", mask_of())
    with pytest.raises(ValueError, match="no photograph of this mask") as caught:
        training_patches(tmp_path)
    assert str(caught.value).startswith(f"{bad}: ")


def test_empty_masks(tmp_path):
    """One empty mask is a healthy eye; all of them are a mistake."""
    options = write_folders(tmp_path)
    config = lesions_config(lesions_data(**options), negatives="healthy")
    for number in range(2):
        save(tmp_path / f"masks/eye{number}_MA.png", np.zeros((360, 400), bool))
        if number == 0:
            assert patches.training_patches(config).groups.max() == 1
    with pytest.raises(
        ValueError, match="no microaneurysms in any of 2 photographs"
    ) as caught:
        patches.training_patches(config)
    assert options["data_dir"] in str(caught.value)


def test_drawn_eyes_without_lesions():
    data = lesions_data(size=64, synthetic_labeled=0, synthetic_unlabeled=2)
    with pytest.raises(ValueError, match="drawn eyes: no microaneurysms in any of 2"):
        patches.training_patches(lesions_config(data))


def test_negatives_of_healthy_eyes_need_some(tmp_path):
    with pytest.raises(ValueError, match=r"each of the 2 .*healthy_dir=DIR"):
        training_patches(tmp_path, {"negatives": "healthy"})


@pytest.mark.parametrize("field", ["data_dir", "masks_dir", "healthy_dir"])
def test_folders_that_are_not_there(tmp_path, field):
    absent = tmp_path / "absent"
    with pytest.raises(FileNotFoundError, match="absent"):
        training_patches(tmp_path, **{field: str(absent)})
    for kind in ("idrid", "tfds"):
        with pytest.raises(FileNotFoundError, match="absent"):
            training_patches(tmp_path, kind=kind, data_dir=str(absent))


def test_photographs_that_cannot_be_used_are_named(tmp_path):
    """No field gives no scale; a broken file, nothing at all."""
    write_folders(tmp_path, healthy=1)
    bad = save(tmp_path / "healthy/dark.png", np.zeros((90, 100, 3), np.uint8))
    healthy = {"healthy_dir": str(tmp_path / "healthy")}
    with pytest.raises(ValueError, match=r"healthy dark: no field of view"):
        training_patches(tmp_path, **healthy)
    bad.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"dark\.png"):
        training_patches(tmp_path, **healthy)


def test_masks_outside_of_the_field_are_no_lesions(tmp_path):
    options = write_folders(tmp_path, sick=1)
    corner = np.zeros((360, 400), bool)
    corner[:9, :9] = True
    save(tmp_path / "masks/eye0_MA.png", corner)
    save(tmp_path / "photographs/eye0.png", draw_eye())
    with pytest.raises(ValueError, match="no microaneurysms in any of 1"):
        patches.training_patches(lesions_config(lesions_data(**options)))


def test_the_weights_of_each_part_have_a_role():
    config = lesions_config()
    config.task.proposals.half = "half.safetensors"
    files = config.task.weights_files(config)
    assert set(files) == {"start", "full", "half"}
    assert files["half"][:2] == ("half.safetensors", config.model.proposal)
    assert files["start"].model is config.model
    config.task.part, config.model = "half", config.model.proposal
    assert set(config.task.weights_files(config)) == {"start"}
    config.task.proposals.distill = True
    config.task.proposals.teacher.half = "teacher.safetensors"
    files = config.task.weights_files(config)
    assert files["teacher"].path == "teacher.safetensors"
    assert files["teacher"].model is config.task.proposals.teacher.model

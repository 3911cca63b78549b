"""The weight files that come with the package."""

import json
import re
import runpy
import shlex

import numpy as np
import pytest

import rkd_jax
from rkd_jax import weights
from rkd_jax.config import as_dict, flatten_dict
from rkd_jax.synthetic import fundus
from rkd_jax.weights import packaged

FOLDER = weights.find().parent
FILES = sorted(FOLDER.glob("*.safetensors"))
LESIONS = [FOLDER / f"{name}.safetensors" for name in packaged.LESIONS]
KEYPOINTS = [path for path in FILES if path.stem in packaged.names()]
SIZE = 512


@pytest.fixture(scope="module")
def pairs():
    return [fundus.visits(seed, size=SIZE) for seed in (3, 4)]


def test_the_promised_names_are_there():
    names = {path.stem for path in FILES}
    assert {"unet_robust", "unet", "small", "large", "large_kernel"} <= names
    assert set(packaged.LESIONS) <= names
    others = {*packaged.LESIONS, *packaged.CLASSIFIERS}
    assert set(packaged.names()) == names - others


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_small_and_described(path):
    assert path.stat().st_size < 20 * 2**20
    card = (FOLDER / "MODEL_CARD.md").read_text()
    assert f"\n## {path.name}\n" in card
    found = weights.load(path)
    assert f"{int(found.metadata['parameters']):,}" in card
    # The recipe names no folder of the machine it ran on, and no arithmetic of it.
    folder = "A. Segmentation" if path in LESIONS else "LAB"
    assert found.recipe["config"]["data"]["data_dir"] == folder
    assert "/" not in json.dumps(found.recipe)
    assert "compute_dtype" not in found.options


def _commands(card: str) -> dict[str, list[str]]:
    """Return the training command of each file, with what all are followed by."""
    shared, *sections = re.split(r"\n## ", card)
    more = re.search(r"followed by\n\n((?:    .*\n)+)", shared)[1]
    found = {}
    for section in sections:
        command = re.search(r"    (python -m rkd_jax\.train(?:.*\\\n)*.*)", section)[1]
        if section.split(".")[0] in packaged.LESIONS:
            more = ""
        text = f"{command} {more}".replace("\\\n", " ")
        text = text.replace("--config configs", "--config=configs")
        words = shlex.split(text)
        found[section.split(".")[0]] = [w for w in words if w.startswith("--config")]
    return found


# The names that fields had when the files were trained, as the card lists them.
RENAMED = {
    r"(teacher|pretrain)\.": r"task.\1.",
    r"compare_scratch$": "task.compare_scratch",
    r"loop\.eval_kind": "task.eval_kind",
    r"task\.mask_(ratio|size)": r"task.pretrain.mask_\1",
    r"data\.embedded_": "data.synthetic_",
}


def _todays(recipe: dict) -> dict:
    """Return a recipe with the names that its fields have now."""
    found = {}
    for name, value in flatten_dict(recipe).items():
        for old, new in RENAMED.items():
            if re.match(old, name):
                name = re.sub(old, new, name)
                break
        found[name] = value
    assert found["data.kind"] == "lab"
    return {**found, "data.kind": "superretina"}


@pytest.mark.parametrize("path", KEYPOINTS, ids=lambda path: path.stem)
def test_the_command_on_the_card_is_the_recipe_in_the_file(path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    first, *changes = _commands((FOLDER / "MODEL_CARD.md").read_text())[path.stem]
    file, _, variant = first.removeprefix("--config=").partition(":")
    asked = flatten_dict(as_dict(runpy.run_path(file)["get_config"](variant)))
    for name, text in (change.split("=") for change in changes):
        kind = type(asked[name.removeprefix("--config.")])
        asked[name.removeprefix("--config.")] = kind(text)
    recipe = _todays(weights.load(path).recipe["config"])
    # A teacher file is named by the command's reader; how often a run is evaluated,
    # and the threads of a loader, change no weights.
    free = {"task.teacher.weights", "data.num_threads"}
    free |= {f"loop.{k}" for k in ("eval_pairs", "eval_every", "checkpoint_every")}
    shared = (set(asked) & set(recipe)) - free
    # Options that came after the files were trained.
    newer = {"optim.drop_at", "optim.drop_factor", "optim.decay_kind"}
    newer |= {"optim.trainable"}
    newer |= {name for name in asked if name.endswith("model.window_size")}
    assert set(asked) - shared - free <= newer
    assert {k: asked[k] for k in shared} == {k: recipe[k] for k in shared}


@pytest.mark.parametrize("path", LESIONS, ids=lambda path: path.stem)
def test_the_command_of_a_detector_is_its_recipe(path, monkeypatch):
    monkeypatch.chdir(FOLDER.parents[1])
    first, *changes = _commands((FOLDER / "MODEL_CARD.md").read_text())[path.stem]
    file, _, variant = first.removeprefix("--config=").partition(":")
    config = runpy.run_path(file)["get_config"](variant)
    asked = flatten_dict(as_dict(config))
    asked |= dict(change.removeprefix("--config.").split("=") for change in changes)
    recipe = flatten_dict(weights.load(path).recipe["config"])
    # Given networks of the same recipe, a further run and the rhythm of a run change
    # no weights; folders are named by the command's reader.
    free = {"task.proposals.full", "task.proposals.half", "task.compare_cls"}
    free |= {"data.healthy_dir", "data.num_threads", "task.threshold", "task.fusion"}
    free |= {f"loop.{k}" for k in ("eval_pairs", "eval_every", "checkpoint_every")}
    # This field came after the file was trained.
    assert asked.keys() - recipe.keys() <= {"task.classifier_weight"}
    kept = {k: v for k, v in recipe.items() if k not in free}
    assert {k: asked[k] for k in kept} == kept


@pytest.mark.parametrize("path", LESIONS, ids=lambda path: path.stem)
def test_a_detector_scores_drawn_lesions_above_the_rest_of_the_eye(path):
    made = fundus.diabetic(4, size=SIZE)
    found = rkd_jax.load_lesion_detector(path.stem).detect(made.image)
    assert found.ok
    inside = found.probability[made.lesions[path.stem]].mean()
    assert inside > 5 * found.probability.mean()


@pytest.mark.parametrize("path", KEYPOINTS, ids=lambda path: path.stem)
def test_two_visits_are_registered_and_two_eyes_are_not(path, pairs):
    matcher = rkd_jax.load_matcher(path.stem, working_size=SIZE)
    first, second = pairs
    found = matcher.register(first.fixed.image, first.moving.image)
    assert found.ok, found.reason
    axis = np.linspace(0.35 * SIZE, 0.65 * SIZE, 7)
    moving = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    error = np.linalg.norm(
        found.warp_points(moving) - first.moving_to_fixed(moving), axis=1
    )
    assert np.median(error) < 0.01 * SIZE
    assert not matcher.register(first.fixed.image, second.moving.image).ok

"""The weight files that come with the package."""

import json
import pathlib

import numpy as np
import pytest

import rkd_jax
from rkd_jax import weights
from rkd_jax.data import fundus_synthesis

FOLDER = pathlib.Path(weights.__file__).parent
FILES = sorted(FOLDER.glob("*.safetensors"))
SIZE = 512


@pytest.fixture(scope="module")
def pairs():
    return [fundus_synthesis.visits(seed, size=SIZE) for seed in (3, 4)]


def test_the_promised_names_are_there():
    names = {path.stem for path in FILES}
    assert {"default", "small", "large", "large_kernel"} <= names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_small_and_described(path):
    assert path.stat().st_size < 20 * 2**20
    card = (FOLDER / "MODEL_CARD.md").read_text()
    assert f"\n## {path.name}\n" in card
    found = weights.load(path)
    assert f"{int(found.metadata['parameters']):,}" in card
    # The recipe names no folder of the machine it ran on, and no arithmetic of it.
    assert found.recipe["config"]["data"]["data_dir"] == "LAB"
    assert "/" not in json.dumps(found.recipe)
    assert "compute_dtype" not in found.options


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
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

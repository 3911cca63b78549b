"""Detectors that need no training."""

import functools

import numpy as np
import pytest
from made_eyes import FIELD

from rkd_jax import weights

_OPTIONS = {
    "proposal": {"name": "frrn", "width": 1, "lanes": 1},
    "patches": {
        "name": "resnet",
        "widths": [2, 2, 2, 2],
        "depths": [1, 1, 1, 1],
        "bottleneck": False,
    },
}
_PREPROCESS = {
    "lesion": "microaneurysms",
    "scale": {"field_px": float(FIELD), "sigma_px": 5.0, "gain": 4.0},
    "patch_px": 16,
    "region_threshold": 0.1,
    "stride": 4,
    "fusion": "refined_geometric",
    "threshold": 0.5,
}


@functools.cache
def _variables():
    """Draw parameters by their names, which takes less time than to compile `init`."""
    rng = np.random.default_rng(0)
    variables = {}
    for name, shape in weights.expected_shapes("two_stage", _OPTIONS).items():
        *parents, leaf = name.split("/")
        level = functools.reduce(
            lambda d, key: d.setdefault(key, {}), parents, variables
        )
        if leaf == "kernel":
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        else:
            values = np.full(shape, leaf in ("scale", "var"))
        level[leaf] = values.astype(np.float32)
    return variables


@pytest.fixture
def untrained():
    """Return a function that makes untrained weights in memory."""

    def make(variables=None, **preprocess):
        facts = {**_PREPROCESS, **preprocess}
        variables = variables or _variables()
        return weights.Weights("two_stage", _OPTIONS, variables, facts, {}, {})

    return make


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory):
    """Return a function that saves untrained weights once; it gives their path."""
    folder = tmp_path_factory.mktemp("weights")

    @functools.cache
    def save(**preprocess):
        path = folder / f"thin{'-'.join(map(str, preprocess.values()))}.safetensors"
        weights.save(
            path,
            _variables(),
            model="two_stage",
            options=_OPTIONS,
            preprocess={**_PREPROCESS, **preprocess},
        )
        return path

    return save


@pytest.fixture
def bright_spots(monkeypatch):
    """Let every network be one that calls bright pixels lesions.

    Dark ones are at the rim of a field, too."""
    from rkd_jax.lesions.detector import LesionDetector

    def run(self, part, images):
        green = images[..., 1].astype(np.float32)
        if part == "classifier":
            middle = images.shape[1] // 2
            green = green[:, middle, middle]
        return np.clip((green - 170.0) / 60.0, 0, 1)

    monkeypatch.setattr(LesionDetector, "_run", run)

"""Detectors that need no training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made_eyes import FIELD

from rkd_jax import models, weights

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
    "patch_scales": {"full": "full", "half": "half"},
    "fusion": "refined_geometric",
    "threshold": 0.5,
}


@functools.cache
def _variables():
    module = models.build("two_stage", **_OPTIONS)
    return jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))


@pytest.fixture
def untrained():
    """Return a function that makes untrained weights in memory."""

    def make(**preprocess):
        variables = jax.tree.map(np.asarray, _variables())
        facts = {**_PREPROCESS, **preprocess}
        return weights.Weights("two_stage", _OPTIONS, variables, facts, {}, {})

    return make


@pytest.fixture
def weights_file(tmp_path):
    """Return a function that saves untrained weights; it gives their path."""

    def save(name="thin", **preprocess):
        path = tmp_path / f"{name}.safetensors"
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
def dark_spots(monkeypatch):
    """Let every network be one that calls dark pixels lesions."""
    from rkd_jax.lesions.detector import LesionDetector

    def run(self, part, images):
        green = images[..., 1].astype(np.float32)
        if part == "classifier":
            middle = images.shape[1] // 2
            green = green[:, middle, middle]
        return np.clip((110.0 - green) / 60.0, 0, 1)

    monkeypatch.setattr(LesionDetector, "_run", run)

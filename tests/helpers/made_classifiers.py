"""Classifiers that need no training."""

import functools

import numpy as np

from rkd_jax import weights
from rkd_jax.classification.settings import ClassifierSettings

OPTIONS = {
    "in_channels": 3,
    "out_channels": 3,
    "widths": [4, 6],
    "depths": [1, 1],
    "bottleneck": False,
}
CLASSES = ("none", "some", "many")
SIZE = 48


def options(outputs=3):
    return {**OPTIONS, "out_channels": outputs}


@functools.cache
def variables(seed=0, outputs=3):
    """Return untrained parameters of the ResNet."""
    return drawn("resnet", options(outputs), seed)


def drawn(model, options, seed=0):
    """Draw parameters by their names, which takes less time than to compile `init`."""
    rng = np.random.default_rng(seed)
    tree = {}
    for name, shape in weights.expected_shapes(model, options).items():
        *parents, leaf = name.split("/")
        level = functools.reduce(lambda d, key: d.setdefault(key, {}), parents, tree)
        if leaf == "kernel":
            values = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        else:
            values = np.full(shape, leaf in ("scale", "var"))
        level[leaf] = values.astype(np.float32)
    return tree


def settings(**changes):
    """Return the settings of a classifier of three classes."""
    return ClassifierSettings(**{"classes": CLASSES, "size": SIZE, **changes})


def untrained(preprocess=None, **changes):
    """Return untrained weights in memory."""
    facts = settings(**changes).to_dict() if preprocess is None else preprocess
    return weights.Weights("resnet", OPTIONS, variables(), facts, {}, {})


def save_untrained(path, seed=0, recipe=None, **changes):
    """Save untrained weights; return the path."""
    facts = settings(**changes).to_dict()
    outputs = len(facts["classes"])
    model = {"model": "resnet", "options": options(outputs), "preprocess": facts}
    model["recipe"] = recipe
    weights.save(path, variables(seed, outputs), **model)
    return path

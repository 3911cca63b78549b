"""The classifier's patches where the proposal networks find something but no lesion."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.config import Config
from rkd_jax.data.source import Example
from rkd_jax.lesions.proposals import propose
from rkd_jax.runtime.many import progress
from rkd_jax.tasks import networks
from rkd_jax.tasks.lesions.config import PARTS, LesionsConfig
from rkd_jax.tasks.lesions.patches import Patches, teaches
from rkd_jax.tasks.lesions.places import Places
from rkd_jax.weights import Weights

_known: dict[str, Places] = {}
_lock = threading.Lock()


def with_hard_patches(
    config: Config, source: Patches, given: Mapping[str, Weights]
) -> Patches:
    """Replace a share of the patches without lesion by those that are hard.

    They lie where the detector asks the classifier: above `task.region_threshold` in
    the map of a proposal network. A photograph with too few such pixels keeps others.
    The places that were found last stay in memory: maps take minutes, and the runs
    with and without triplet loss share them.

    Args:
        config: of the classifier's run.
        source: its patches.
        given: the proposal networks "full" and "half".

    Source: ours. In the paper the classifier sees all pixels of healthy photographs.
    """
    task = LesionsConfig.of(config)
    facts = [config.seed, task.hard_share, task.region_threshold, task.negatives]
    facts += [given[part].sha256 for part in PARTS]
    facts += [list(source.eyes.names), *(one.tolist() for one in source.places)]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    with _lock:
        if key not in _known:
            found = _with_hard_places(config, source, given)
            _known.clear()
            _known[key] = found
        places = _known[key]
    return Patches(source.eyes, places, side=source.side)


def _with_hard_places(
    config: Config, source: Patches, given: Mapping[str, Weights]
) -> Places:
    task = LesionsConfig.of(config)
    eyes, places = source.eyes, source.places
    module = networks.build(LesionsConfig.model(config).proposal)
    network = _network(given, module)
    rng = np.random.default_rng((config.seed, 1))
    whole = teaches([eyes[i] for i in range(len(eyes))], task.negatives)
    numbers = np.flatnonzero(whole)
    found = []
    for number in progress(iter(numbers.tolist()), "photograph", len(numbers)):
        eye = eyes[number]
        maps = propose(network, eye["image"], reach=module.reach())
        mine = np.flatnonzero((places.eye == number) & (places.label == 0))
        hard = _hard(eye, np.maximum(maps["full"], maps["half"]), task)
        count = min(round(task.hard_share * len(mine)), len(hard))
        left = rng.permutation(mine)[count:]
        found.append((number, rng.permutation(hard)[:count], 0))
        found.append((number, places.xy[left], 0))
    kept = (places.label == 1) | ~whole[places.eye]
    parts = zip((one[kept] for one in places), Places.of(found), strict=True)
    return Places(*(np.concatenate(both) for both in parts))


def _hard(eye: Example, scores: np.ndarray, task: LesionsConfig) -> np.ndarray:
    """Return pixels (x, y) of the field that are suspicious and no lesion."""
    free = eye["field"] & (eye["target"] == 0) & (scores > task.region_threshold)
    return np.argwhere(free)[:, ::-1]


def _network(
    given: Mapping[str, Weights], module: Any
) -> Callable[[str, np.ndarray], np.ndarray]:
    """Return the proposal networks, as `propose` calls them."""
    variables = {part: jax.device_put(given[part].variables) for part in PARTS}

    @jax.jit
    def apply(variables: Any, images: jax.Array) -> jax.Array:
        return module.apply(variables, images.astype(jnp.float32) / 255.0).heatmap

    def network(part: str, images: np.ndarray) -> np.ndarray:
        return np.asarray(apply(variables[part], images))

    return network

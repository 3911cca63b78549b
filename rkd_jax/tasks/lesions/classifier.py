"""The classifier of patches: cross-entropy, and a triplet loss on its embedding."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.data.source import Source
from rkd_jax.losses import triplet_hinge
from rkd_jax.metrics.lesions import curves, pixels
from rkd_jax.models.two_stage import lesion_probability
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.lesions import views
from rkd_jax.tasks.lesions.config import PARTS, LesionsConfig
from rkd_jax.tasks.reductions import global_mean

Array = jax.Array
PyTree = Any
_BATCH = 128  # patches of an evaluation at a time


@dataclasses.dataclass(frozen=True)
class ClassifierTask(Task):
    """Triplets of patches: anchor, negative, positive, anchor, ...

    Attributes:
        model: a classifier of two classes, BatchNorm over `axis_name`.
        options: weight, margin and distance of the triplet loss, side of the patches.
        proposals: variables of the trained proposal networks "full" and "half", which
            go into the weights file.
        axis_name: mapped axis over which `loss` averages; None for one device.

    Source: Sarhan et al., MICCAI 2019, section 2.2.
    """

    model: nn.Module
    options: LesionsConfig
    proposals: Mapping[str, PyTree] = dataclasses.field(hash=False)
    axis_name: str | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables; there is no task state."""
        side = self.options.patch_px
        return jax.jit(self.model.init)(key, jnp.zeros((1, side, side, 3))), {}

    def load(self, variables: PyTree, weights: PyTree) -> PyTree:
        """Return the classifier of a weights file of all three networks."""
        return {kind: weights[kind]["classifier"] for kind in variables}

    def network(self, variables: PyTree) -> PyTree:
        """Return the variables of all three networks."""
        kinds = {kind: {"classifier": tree} for kind, tree in variables.items()}
        for part in PARTS:
            for kind, tree in self.proposals[part].items():
                kinds.setdefault(kind, {})[part] = tree
        return kinds

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return cross-entropy of anchors and negatives, plus triplets; see `Task`.

        Raises:
            ValueError: a device's share of the batch is no whole number of triplets.
        """
        labels, options = batch["label"], self.options
        if len(labels) % 3:
            raise ValueError(
                f"a device gets {len(labels)} patches, which are no triplets; "
                "config.data.batch_size must be a multiple of 3 times the devices"
            )
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        draw = functools.partial(training_patch, side=options.patch_px)
        images = jax.vmap(draw)(keys, batch["image"])
        output, collections = self.model.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        errors = optax.softmax_cross_entropy_with_integer_labels(output.logits, labels)
        # The positive of a triplet has none, as published.
        first_two = jnp.arange(len(labels)) % 3 < 2
        label = global_mean(errors, first_two.astype(jnp.float32), self.axis_name)
        anchor, negative, positive = (output.features[k::3] for k in range(3))
        whole = (labels[0::3] == 1) & (labels[1::3] == 0) & (labels[2::3] == 1)
        hinges = triplet_hinge(
            anchor,
            positive,
            negative,
            margin=options.margin,
            distance=options.distance,
            where=whole,
        )
        triplet = global_mean(hinges, whole.astype(jnp.float32), self.axis_name)
        value = label + options.triplet_weight * triplet
        right = (jnp.argmax(output.logits, axis=-1) == labels).astype(jnp.float32)
        accuracy = global_mean(right, jnp.ones_like(right), self.axis_name)
        metrics = {
            "loss": value,
            "cross_entropy": label,
            "triplet": triplet,
            "accuracy": accuracy,
        }
        return value, Aux(metrics, task_state, collections, {"loss": errors})

    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return how well held-out patches are told apart; `score` is their AP."""
        side = self.options.patch_px

        @jax.jit
        def judge(patches: Array) -> Array:
            patches = patches[:, :side, :side].astype(jnp.float32) / 255.0
            return lesion_probability(self.model.apply(variables, patches))

        found = []
        for start in range(0, len(data), _BATCH):
            numbers = range(start, min(start + _BATCH, len(data)))
            patches = np.stack([data[i]["image"] for i in numbers])
            lacking = [(0, _BATCH - len(patches)), *[(0, 0)] * 3]
            found.append(np.asarray(judge(np.pad(patches, lacking)))[: len(patches)])
        scores, lesion = np.concatenate(found), np.asarray(data.groups) == 1
        curve = curves.ScoreCurve.of(
            *curves.count_pixels(curves.to_levels(scores), lesion)
        )
        precision = float(pixels.average_precision(curve))
        hits = [np.mean((scores > 0.5)[lesion == kind] == kind) for kind in (0, 1)]
        return {
            "score": precision,
            "average_precision": precision,
            "balanced_accuracy": float(np.mean(hits)),
        }, {}


def training_patch(key: Array, image: Array, *, side: int) -> Array:
    """Draw what the network sees of a patch, float in 0..1, its place in the middle.

    Args:
        key: of the draw.
        image: uint8 `[side + 1, side + 1, 3]`.
        side: of the result.
    """
    k_turn, k_light = jax.random.split(key)
    (image,) = views.turned(k_turn, image)
    return views.lit(k_light, image[:side, :side].astype(jnp.float32) / 255.0)

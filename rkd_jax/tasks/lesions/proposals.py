"""A segmentation network that proposes lesions: loss and score."""

import dataclasses
import functools
from typing import Any

import cv2
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.data.source import Source
from rkd_jax.lesions.tiles import map_in_tiles
from rkd_jax.losses import balanced_weights, dice_loss
from rkd_jax.metrics.lesions import curves, pixels
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.lesions import views
from rkd_jax.tasks.lesions.config import ProposalsConfig
from rkd_jax.tasks.lesions.places import LESION
from rkd_jax.tasks.reductions import global_mean, global_sum

Array = jax.Array
PyTree = Any


@dataclasses.dataclass(frozen=True)
class ProposalTask(Task):
    """Weighted cross-entropy and squared Dice, and Dice to a frozen teacher's map.

    Attributes:
        model: a segmentation network with one output, BatchNorm over `axis_name`.
        options: weights of the terms and the side of the crops.
        teacher_model: of the frozen teacher, or None.
        axis_name: mapped axis over which `loss` averages; None for one device.

    Source: Sarhan et al., MICCAI 2019, section 2.1. The teacher is reverse knowledge
    distillation (docs/paper/specification.md) between the maps of lesions; ours.
    """

    model: nn.Module
    options: ProposalsConfig
    teacher_model: nn.Module | None = None
    axis_name: str | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables; there is no task state."""
        side = self.options.crop
        return jax.jit(self.model.init)(key, jnp.zeros((1, side, side, 3))), {}

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return the weighted sum of the terms; see `Task.loss`."""
        options = self.options
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        draw = functools.partial(training_crop, crop=options.crop)
        images, targets, counts = jax.vmap(draw)(
            keys, batch["image"], batch["target"], batch["counts"]
        )
        output, collections = self.model.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        total = functools.partial(global_sum, axis_name=self.axis_name)
        weights = balanced_weights(
            targets, where=counts, largest=options.largest_weight, total=total
        )
        errors = optax.sigmoid_binary_cross_entropy(output.logits, targets)
        terms = {
            "cross_entropy": global_mean(errors, weights, self.axis_name),
            "dice": dice_loss(output.heatmap, targets, where=counts, total=total),
        }
        value = options.ce_weight * terms["cross_entropy"]
        value += options.dice_weight * terms["dice"]
        if self.teacher_model is not None:
            wanted = self.teacher_model.apply(teacher, images).heatmap
            wanted = jax.lax.stop_gradient(wanted)
            terms["teacher"] = dice_loss(
                output.heatmap, wanted, where=counts, total=total
            )
            value += options.teacher_weight * terms["teacher"]
        return value, Aux({"loss": value, **terms}, task_state, collections)

    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return the scores of all pixels at this scale; `score` is their AP."""

        @jax.jit
        def network(images: Array) -> Array:
            return self.model.apply(
                variables, images.astype(jnp.float32) / 255.0
            ).heatmap

        true = np.zeros(curves.LEVELS, np.int64)
        false, pictures = true.copy(), {}
        for number in range(len(data)):
            eye = data[number]
            found = map_in_tiles(network, eye["image"], reach=self.model.reach())
            found *= eye["field"]
            levels = curves.to_levels(found)
            mine = curves.count_pixels(levels, eye["target"] >= LESION)
            true, false = true + mine[0], false + mine[1]
            if not number:
                pictures["map"] = picture(eye, found)
        curve = curves.ScoreCurve.of(true, false)
        f1, threshold = pixels.best_f1(curve)
        precision = float(pixels.average_precision(curve))
        return {
            "score": precision,
            "average_precision": precision,
            "best_f1": float(f1),
            "threshold": float(threshold),
        }, pictures


def training_crop(
    key: Array, image: Array, target: Array, counts: Array, *, crop: int
) -> tuple[Array, Array, Array]:
    """Draw what a network sees of a patch: float in 0..1, target, pixels that count."""
    k_move, k_turn, k_light = jax.random.split(key, 3)
    parts = views.moved(k_move, crop, image, target, counts)
    image, target, counts = views.turned(k_turn, *parts)
    image = views.lit(k_light, image.astype(jnp.float32) / 255.0)
    return image, target.astype(jnp.float32) / 255.0, counts


def picture(eye: dict[str, np.ndarray], found: np.ndarray) -> np.ndarray:
    """Return an enhanced photograph beside its map, with marked lesions in green."""
    seen = eye["image"].copy()
    edges, _ = cv2.findContours(
        (eye["target"] >= LESION).astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE,
    )
    cv2.drawContours(seen, edges, -1, (0, 255, 0), 1)
    grey = np.rint(255 * found).astype(np.uint8)
    return np.concatenate([seen, np.repeat(grey[..., None], 3, axis=2)], axis=1)

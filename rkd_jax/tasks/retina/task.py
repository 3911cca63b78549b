"""Detector, descriptor and distillation: what the paper trains.

Per image and step: the raw crop, a detector-warped and a descriptor-warped view
(`views`). The student sees all three, the frozen teacher the raw one.

    loss = detector + geometric + descriptor
           [+ heatmap distillation + descriptor distillation]

Source: SuperRetina (Liu et al., ECCV 2022) for the first three, reverse knowledge
distillation (Nasser et al., WACV 2024) for the distillation;
docs/paper/specification.md, 3 to 5.
"""

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import losses
from rkd_jax.data.source import Source
from rkd_jax.models.output import ModelOutput
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.reductions import global_mean
from rkd_jax.tasks.retina.config import RetinaConfig
from rkd_jax.tasks.retina.descriptor_loss import descriptor_terms, distillation_terms
from rkd_jax.tasks.retina.heatmap_loss import detector_terms, dice
from rkd_jax.tasks.retina.points import descriptor_points, teacher_points
from rkd_jax.tasks.retina.value_maps import expand
from rkd_jax.tasks.retina.views import Views, make_views

Array = jax.Array
PyTree = Any


@dataclasses.dataclass(frozen=True)
class RetinaTask(Task):
    """Train a network on retinal images; see `rkd_jax.tasks.base.Task`.

    Attributes:
        model: the student.
        options: losses, augmentation and expansion.
        crop: side of the training crops, 0 for whole images.
        labeled: how many labeled images the source has; sizes the value maps.
        steps_per_epoch: turns `pke_start_epoch` into a step.
        teacher_model: the network whose variables `loss` gets, if `options.distill`.
        teacher_grid: how the teacher's descriptor map is read; None as the student's.
        axis_name: mapped axis over which `loss` averages; None for one device.
    """

    model: nn.Module
    options: RetinaConfig
    crop: int
    labeled: int
    steps_per_epoch: int
    teacher_model: nn.Module | None = None
    teacher_grid: str | None = None
    axis_name: str | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables and empty value maps `[labeled, S, S]` int32."""
        side = batch["image"].shape[-3]
        crop = self.crop or side
        image = jnp.zeros((1, crop, crop, 1), jnp.float32)
        variables = jax.jit(self.model.init)(key, image)
        maps = jnp.zeros((max(self.labeled, 1), side, side), jnp.int32)
        return variables, {"value_maps": maps}

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return the loss of this device's share of a batch; see `tasks.base.Task`.

        `batch` holds `image [B, S, S, 1]`, `size [B, 2]`, `field [B, S, S]`,
        `keypoints [B, N, 2]`, `keypoint_mask [B, N]`, `labeled [B]`, `index [B]` and
        `example [B]`.
        """
        options, labeled = self.options, batch["labeled"]
        mean = functools.partial(global_mean, axis_name=self.axis_name)
        over = {"options": options, "axis_name": self.axis_name}
        example_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        keys = jax.vmap(lambda k: jax.random.split(k, 4))(example_keys)
        views = draw_views(keys[:, 0], batch, crop=self.crop, options=options)
        expanding = self._expanding(step)

        student = functools.partial(self.model.apply, variables)
        raw, warped_descriptors = both_views(student, views, key, batch["example"])
        labels, value_maps = expand(
            raw,
            functools.partial(
                student,
                views.detector,
                train=not options.deterministic_expansion,
                example_ids=batch["example"],
                rngs={"dropout": jax.random.fold_in(key, 1)},
            ),
            views,
            task_state["value_maps"],
            batch["index"],
            labeled & expanding,
            **over,
        )

        detector, geometric = detector_terms(
            raw.heatmap,
            labels.maps,
            labeled,
            labels.warped,
            views.h_detector,
            labels.active,
            **over,
        )
        points = jax.vmap(
            functools.partial(descriptor_points, options=options), (0, 0, 0, 0, None)
        )(keys[:, 1], raw.heatmap, views, labels.maps, expanding)
        per_point, where, right = jax.vmap(
            functools.partial(descriptor_terms, options=options)
        )(keys[:, 2], raw.descriptors, warped_descriptors, points, views)
        terms = {
            "detector": options.detector_weight * detector,
            "geometric": options.detector_weight * geometric,
            "descriptor": options.descriptor_weight * mean(per_point, where),
        }
        if options.distill:
            terms |= self._distillation(teacher, raw, views, labels.maps, keys[:, 3])
        total = sum(terms.values())
        ones = jnp.ones_like(labeled)
        metrics = {
            "loss": total,
            **terms,
            "keypoints": mean(jnp.sum(points.mask, -1).astype(jnp.float32), ones),
            "expanded": mean(labels.added.astype(jnp.float32), labeled),
            "match_accuracy": mean(right.astype(jnp.float32), where),
        }
        return total, Aux(metrics, {**task_state, "value_maps": value_maps})

    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Register held-out pairs; see `rkd_jax.tasks.retina.evaluation`."""
        from rkd_jax.tasks.retina import evaluation

        grid = self.options.descriptor_grid
        return evaluation.evaluate(self.model, variables, data, grid=grid)

    def _expanding(self, step: Array) -> Array:
        start = self.options.pke_start_epoch
        if start < 0:
            return jnp.zeros((), bool)
        return step >= start * self.steps_per_epoch

    def _distillation(
        self,
        teacher: PyTree,
        raw: ModelOutput,
        views: Views,
        labels: Array,
        keys: Array,
    ) -> dict[str, Array]:
        """Return the two terms that make the student follow the frozen teacher."""
        options = self.options
        answer = jax.lax.stop_gradient(
            self.teacher_model.apply(teacher, views.raw, train=False)
        )

        def at_points(
            key: Array,
            views: Views,
            labels: Array,
            heatmap: Array,
            ours: Array,
            theirs: Array,
        ) -> tuple[Array, Array]:
            k_texture, k_negative = jax.random.split(key)
            points = teacher_points(k_texture, heatmap, views, labels, options=options)
            return distillation_terms(
                k_negative,
                ours,
                theirs,
                points,
                options=options,
                teacher_grid=self.teacher_grid,
            )

        per_point, where = jax.vmap(at_points)(
            keys, views, labels, answer.heatmap, raw.descriptors, answer.descriptors
        )
        heatmap = dice(
            losses.heatmap_distillation,
            answer.heatmap,
            raw.heatmap,
            jnp.ones(labels.shape[:1], bool),
            options=options,
            axis_name=self.axis_name,
        )
        descriptor = global_mean(per_point, where, self.axis_name)
        return {
            "heatmap_distillation": options.heatmap_distillation_weight * heatmap,
            "descriptor_distillation": options.descriptor_distillation_weight
            * descriptor,
        }


def draw_views(
    keys: Array, batch: dict[str, Array], *, crop: int, options: RetinaConfig
) -> Views:
    """Draw the views of a batch; see `views.make_views`.

    Args:
        keys: `[B, 2]`, of each example and step.
        batch: of the source.
        crop: side of the views, pixels; 0 takes the whole image.
        options: geometry and light.
    """
    draw = functools.partial(
        make_views,
        crop=crop,
        detector_geometry=options.detector_geometry,
        descriptor_geometry=options.descriptor_geometry,
        light=options.light,
        clip_light=options.clip_light,
        deformation=options.deformation,
        mask_field=options.mask_field,
    )
    parts = ("image", "size", "field", "keypoints", "keypoint_mask")
    return jax.vmap(draw)(keys, {name: batch[name] for name in parts})


def both_views(
    student: Any, views: Views, key: Array, examples: Array
) -> tuple[ModelOutput, Array]:
    """Return the output of the raw views, and the descriptors of the warped ones.

    Both go through the network as one batch: the encoder is compiled once, and the
    detector leaves the warped half out.

    Args:
        student: `model.apply` with its variables.
        views: of the batch.
        key: of this step, for dropout.
        examples: int32 `[B]`, places in the global batch.
    """
    count = examples.shape[0]
    both = student(
        jnp.concatenate([views.raw, views.descriptor]),
        train=True,
        detector_images=count,
        # An example has two numbers, one a view, whatever device it is on.
        example_ids=jnp.concatenate([2 * examples, 2 * examples + 1]),
        rngs={"dropout": jax.random.fold_in(key, 0)},
    )
    raw = ModelOutput(both.heatmap, both.logits, both.descriptors[:count], {})
    return raw, both.descriptors[count:]

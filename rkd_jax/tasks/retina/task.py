"""Detector, descriptor and distillation: what the paper trains.

Per image and step: the raw crop, a detector-warped and a descriptor-warped view
(`views`). The student sees all three, the frozen teacher the raw one.

    loss = detector + descriptor [+ heatmap distillation + descriptor distillation]

Source: SuperRetina (Liu et al., ECCV 2022) for the first two, reverse knowledge
distillation (Nasser et al., WACV 2024) for the others; docs/paper/specification.md,
sections 3 to 5.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import losses
from rkd_jax.config import TaskConfig
from rkd_jax.geometry import deform, warp, warp_mask
from rkd_jax.keypoints import Keypoints, detect, rasterize, sample_descriptors
from rkd_jax.models import ModelOutput
from rkd_jax.tasks.base import Aux
from rkd_jax.tasks.reductions import global_mean, global_sum
from rkd_jax.tasks.retina import expansion
from rkd_jax.tasks.retina.views import Views, box_mean, make_views

Array = jax.Array
PyTree = Any
# A labeled pixel counts more than any probability when keypoints are chosen.
LABEL_SCORE = 10.0


@dataclasses.dataclass(frozen=True)
class RetinaTask:
    """Train a network on retinal images; see `rkd_jax.tasks.base.Task`.

    Attributes:
        model: the student.
        options: losses, augmentation and expansion.
        crop: side of the training crops, 0 for whole images.
        labeled: how many labeled images the source has; sizes the value maps.
        steps_per_epoch: turns `pke_start_epoch` into a step.
        teacher_model: the network whose variables `loss` gets, if `options.distill`.
        teacher_grid: how the teacher's descriptor map is read; None as the student's.
        axis_name: mapped axis over which `loss` normalises; None for one device.
    """

    model: nn.Module
    options: TaskConfig
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

        `batch` holds `image [B, S, S, 1]`, `size [B, 2]`, `keypoints [B, N, 2]`,
        `keypoint_mask [B, N]`, `labeled [B]`, `index [B]` and `example [B]`.
        """
        options = self.options
        example_keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        keys = jax.vmap(lambda k: jax.random.split(k, 4))(example_keys)
        views = jax.vmap(self._views)(keys[:, 0], _image_part(batch))
        expanding = self._expanding(step)

        raw, warped_descriptors = self._both_views(
            variables, views, key, batch["example"]
        )
        labels, expanded, task_state = self._expand(
            variables, raw, views, task_state, batch, key, expanding
        )
        detector, geometric = self._detector_terms(
            raw, views, labels, expanded, batch["labeled"]
        )
        points = jax.vmap(self._descriptor_points, (0, 0, 0, 0, None))(
            keys[:, 1], raw.heatmap, views, labels, expanding
        )
        per_point, where, right = jax.vmap(self._descriptor_terms)(
            keys[:, 2], raw.descriptors, warped_descriptors, points, views
        )
        labeled = batch["labeled"]
        terms = {
            "detector": options.detector_weight * detector,
            "geometric": options.detector_weight * geometric,
            "descriptor": options.descriptor_weight * self._mean(per_point, where),
        }
        if options.distill:
            terms |= self._distillation_terms(
                teacher, raw, views, labels, keys[:, 3], batch
            )
        total = sum(terms.values())
        ones = jnp.ones_like(labeled)
        metrics = {
            "loss": total,
            **terms,
            "keypoints": self._mean(jnp.sum(points.mask, -1).astype(jnp.float32), ones),
            "expanded": self._mean(expanded["added"].astype(jnp.float32), labeled),
            "match_accuracy": self._mean(right.astype(jnp.float32), where),
        }
        return total, Aux(metrics, task_state)

    def evaluate(
        self, variables: PyTree, data: list[dict[str, np.ndarray]]
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Register held-out pairs; see `rkd_jax.tasks.retina.held_out`."""
        from rkd_jax.tasks.retina import held_out

        return held_out.evaluate(
            self.model, variables, data, grid=self.options.descriptor_grid
        )

    def network(self, variables: PyTree) -> PyTree:
        """Return all variables: they are the network's alone."""
        return variables

    def _mean(self, values: Array, weights: Array) -> Array:
        return global_mean(values, weights, self.axis_name)

    def _views(self, key: Array, example: dict[str, Array]) -> Views:
        return make_views(
            key,
            example,
            crop=self.crop,
            detector_geometry=self.options.detector_geometry,
            descriptor_geometry=self.options.descriptor_geometry,
            light=self.options.light,
            clip_light=self.options.clip_light,
            deformation=self.options.deformation,
            mask_field=self.options.mask_field,
        )

    def _expanding(self, step: Array) -> Array:
        start = self.options.pke_start_epoch
        if start < 0:
            return jnp.zeros((), bool)
        return step >= start * self.steps_per_epoch

    def _student(
        self,
        variables: PyTree,
        images: Array,
        key: Array,
        number: int,
        examples: Array,
        detector_images: int | None = None,
        train: bool = True,
    ) -> ModelOutput:
        """Run the student; `number` tells its passes' dropout apart."""
        dropout = jax.random.fold_in(key, number)
        return self.model.apply(
            variables,
            images,
            train=train,
            detector_images=detector_images,
            example_ids=examples,
            rngs={"dropout": dropout},
        )

    def _both_views(
        self, variables: PyTree, views: Views, key: Array, examples: Array
    ) -> tuple[ModelOutput, Array]:
        """Return the output of the raw views, and the descriptors of the warped ones.

        Both go through the network as one batch: the encoder is compiled once, and
        the detector leaves the warped half out.
        """
        count = examples.shape[0]
        # An example has two numbers, one a view, whatever device it is on.
        numbers = jnp.concatenate([2 * examples, 2 * examples + 1])
        both = self._student(
            variables,
            jnp.concatenate([views.raw, views.descriptor]),
            key,
            0,
            numbers,
            detector_images=count,
        )
        raw = ModelOutput(both.heatmap, both.logits, both.descriptors[:count], {})
        return raw, both.descriptors[count:]

    def _expand(
        self,
        variables: PyTree,
        raw: ModelOutput,
        views: Views,
        task_state: PyTree,
        batch: dict[str, Array],
        key: Array,
        expanding: Array,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        """Expand the labels and move the value maps, if it is time to.

        Returns:
            label maps `[B, C, C]` of 0 and 1; the warped heatmaps `warped [B, C, C]`,
            `active [B]` and numbers `added [B]`; the new task state.
        """
        side = views.raw.shape[1]
        labels = jax.vmap(
            lambda xy, mask: rasterize(xy, mask, (side, side), rounding="round")
        )(views.labels, views.labels_mask)
        maps = task_state["value_maps"]
        corner = jnp.stack(
            [jnp.maximum(batch["index"], 0), views.origin[:, 1], views.origin[:, 0]], -1
        )
        value = jax.vmap(
            lambda at: jax.lax.dynamic_slice(maps, tuple(at), (1, side, side))[0]
        )(corner)
        active = batch["labeled"] & expanding
        still = (
            labels,
            value,
            jnp.zeros(labels.shape[:1], jnp.int32),
            jnp.zeros_like(labels),
        )

        def run(_: None) -> tuple[Array, Array, Array, Array]:
            train = not self.options.deterministic_expansion
            warped = jax.lax.stop_gradient(
                self._student(
                    variables, views.detector, key, 1, batch["example"], train=train
                )
            )
            result = jax.vmap(self._expand_one)(
                jax.lax.stop_gradient(raw.heatmap),
                warped.heatmap,
                jax.lax.stop_gradient(raw.descriptors),
                warped.descriptors,
                views,
                value,
            )
            keep = active[:, None, None]
            return (
                jnp.where(keep, result.label_map, labels),
                jnp.where(keep, result.value_map, value),
                jnp.where(active, result.added, 0),
                warped.heatmap,
            )

        labels, value, added, warped = jax.lax.cond(
            jnp.any(active), run, lambda _: still, None
        )
        maps = self._write_back(maps, corner, value, active)
        expanded = {"warped": warped, "active": active, "added": added}
        return labels, expanded, {**task_state, "value_maps": maps}

    def _expand_one(
        self,
        heatmap: Array,
        warped_heatmap: Array,
        descriptors: Array,
        warped_descriptors: Array,
        views: Views,
        value: Array,
    ) -> expansion.Expansion:
        return expansion.expand(
            jnp.where(views.field, heatmap, 0.0),
            warped_heatmap,
            descriptors,
            warped_descriptors,
            views.h_detector,
            value,
            views.labels,
            views.labels_mask,
            options=expansion_options(self.options),
            size=views.size,
        )

    def _write_back(
        self, maps: Array, corner: Array, value: Array, active: Array
    ) -> Array:
        """Write the crops of all devices into every device's copy of the maps."""
        if self.axis_name is not None:
            corner, value, active = (
                jax.lax.all_gather(x, self.axis_name, tiled=True)
                for x in (corner, value, active)
            )

        def write(i: Array, maps: Array) -> Array:
            at = tuple(corner[i])
            old = jax.lax.dynamic_slice(maps, at, (1, *value.shape[1:]))
            new = jnp.where(active[i], value[i][None], old)
            return jax.lax.dynamic_update_slice(maps, new, at)

        return jax.lax.fori_loop(0, value.shape[0], write, maps)

    def _detector_terms(
        self,
        raw: ModelOutput,
        views: Views,
        labels: Array,
        expanded: dict[str, Array],
        labeled: Array,
    ) -> tuple[Array, Array]:
        """Return Dice to the labels and to the warped heatmap brought back."""
        detector = self._dice(
            losses.dice_loss, raw.heatmap, losses.smooth_labels(labels), labeled
        )
        size = raw.heatmap.shape[1:]

        def bring_back(warped: Array, h: Array) -> tuple[Array, Array]:
            return warp(warped, h, size), warp_mask(size, h, size)

        back, seen = jax.vmap(bring_back)(expanded["warped"], views.h_detector)
        geometric = self._dice(
            losses.dice_loss,
            raw.heatmap,
            jax.lax.stop_gradient(back),
            expanded["active"],
            where=seen if self.options.mask_geometric else None,
        )
        return detector, geometric

    def _dice(
        self,
        loss: Callable[..., Array],
        first: Array,
        second: Array,
        examples: Array,
        where: Array | None = None,
    ) -> Array:
        """Return a Dice loss of heatmaps `[B, H, W]` over the examples that count."""
        if self.options.dice_per_example:
            each = loss(first, second, where=where, per_example=True)
            return self._mean(each, examples)
        counted = examples[:, None, None]
        return loss(
            first,
            second,
            where=counted if where is None else where & counted,
            total=functools.partial(global_sum, axis_name=self.axis_name),
        )

    def _keypoints(
        self, heatmap: Array, views: Views, labels: Array, radius: int, threshold: float
    ) -> Keypoints:
        options = self.options
        scores = jnp.where(views.field, heatmap, 0.0)
        scores = jnp.where(labels > 0.5, LABEL_SCORE, scores)
        return detect(
            jax.lax.stop_gradient(scores),
            max_keypoints=options.max_keypoints,
            threshold=threshold,
            radius=radius,
            border=options.border,
            size=views.size,
            method=options.nms_method,
        )

    def _with_texture(self, key: Array, found: Keypoints, views: Views) -> Keypoints:
        """Add points where the image has structure, drawn anew each step."""
        if not self.options.texture_points:
            return found
        image = views.raw[..., 0]
        smooth = box_mean(box_mean(image))
        chance = jnp.abs(smooth - box_mean(box_mean(smooth)))
        chance = jnp.where(views.field, chance, 0.0)
        chance = chance * jax.random.uniform(key, chance.shape)
        drawn = detect(
            jax.lax.stop_gradient(chance),
            max_keypoints=self.options.texture_points,
            threshold=1e-4,
            radius=6,
            border=self.options.border,
            size=views.size,
        )
        return Keypoints(
            xy=jnp.concatenate([found.xy, drawn.xy]),
            scores=jnp.concatenate([found.scores, drawn.scores]),
            mask=jnp.concatenate([found.mask, drawn.mask]),
        )

    def _descriptor_points(
        self, key: Array, heatmap: Array, views: Views, labels: Array, expanding: Array
    ) -> Keypoints:
        options = self.options
        found = self._keypoints(
            jnp.where(expanding, heatmap, 0.0),
            views,
            labels,
            options.nms_radius,
            options.threshold,
        )
        return self._with_texture(key, found, views)

    def _descriptor_terms(
        self, key: Array, raw: Array, warped: Array, points: Keypoints, views: Views
    ) -> tuple[Array, Array, Array]:
        """Return the loss of each point `[K]`, which count, and which match rightly."""
        options = self.options
        side = views.raw.shape[0]
        xy_warped = deform(views.descriptor_warp, points.xy)
        inside = jnp.all((xy_warped > 0) & (xy_warped < side - 1), axis=-1)
        where = points.mask & inside
        anchors = sample_descriptors(raw, points.xy, grid=options.descriptor_grid)
        positives = sample_descriptors(warped, xy_warped, grid=options.descriptor_grid)
        value = jnp.zeros(where.shape, jnp.float32)
        if "triplet" in options.descriptor_loss:
            value += losses.triplet_loss(
                anchors,
                positives,
                key,
                where=where,
                margin=options.margin,
                gor_weight=options.gor_weight,
            )
        if "infonce" in options.descriptor_loss:
            value += losses.info_nce(
                anchors,
                positives,
                where=where,
                xy=points.xy,
                exclude_radius=options.infonce_exclude_radius,
                temperature=options.infonce_temperature,
            )
        likeness = jnp.where(where[None, :], anchors @ positives.T, -2.0)
        right = jnp.argmax(likeness, axis=1) == jnp.arange(where.shape[0])
        counts = where & (jnp.sum(where) >= 2)
        return value, counts, right

    def _distillation_terms(
        self,
        teacher: PyTree,
        raw: ModelOutput,
        views: Views,
        labels: Array,
        keys: Array,
        batch: dict[str, Array],
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
            found = self._keypoints(
                heatmap,
                views,
                labels,
                options.teacher_nms_radius,
                options.teacher_threshold,
            )
            points = self._with_texture(k_texture, found, views)
            grid = options.descriptor_grid
            teacher_grid = self.teacher_grid or grid
            anchors = sample_descriptors(theirs, points.xy, grid=teacher_grid)
            followers = sample_descriptors(ours, points.xy, grid=grid)
            value = jnp.zeros(points.mask.shape, jnp.float32)
            if "triplet" in options.descriptor_loss:
                value += losses.descriptor_distillation(
                    anchors,
                    followers,
                    k_negative,
                    where=points.mask,
                    margin=options.margin,
                    gor_weight=options.gor_weight,
                )
            if "infonce" in options.descriptor_loss:
                value += losses.info_nce(
                    jax.lax.stop_gradient(anchors),
                    followers,
                    where=points.mask,
                    xy=points.xy,
                    exclude_radius=options.infonce_exclude_radius,
                    temperature=options.infonce_temperature,
                )
            return value, points.mask & (jnp.sum(points.mask) >= 2)

        per_point, where = jax.vmap(at_points)(
            keys, views, labels, answer.heatmap, raw.descriptors, answer.descriptors
        )
        heatmap = self._dice(
            losses.heatmap_distillation,
            answer.heatmap,
            raw.heatmap,
            jnp.ones_like(batch["labeled"]),
        )
        return {
            "heatmap_distillation": options.heatmap_distillation_weight * heatmap,
            "descriptor_distillation": options.descriptor_distillation_weight
            * self._mean(per_point, where),
        }


def expansion_options(options: TaskConfig) -> expansion.ExpansionOptions:
    """Return the constants of keypoint expansion for a config."""
    if options.expansion != "ours":
        upstream = expansion.ExpansionOptions.upstream(options.expansion)
        # Upstream cuts positions that lie half a pixel further than ours.
        return dataclasses.replace(upstream, rounding="round")
    return expansion.ExpansionOptions(
        max_candidates=options.max_keypoints,
        radius=options.nms_radius,
        threshold=options.threshold,
        border=options.border,
        merge_radius=options.nms_radius,
        rounding="round",
        grid=options.descriptor_grid,
        method=options.nms_method,
    )


def _image_part(batch: dict[str, Array]) -> dict[str, Array]:
    return {k: batch[k] for k in ("image", "size", "keypoints", "keypoint_mask")}

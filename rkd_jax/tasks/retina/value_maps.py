"""Labels of a step: expanded by the network, remembered in the value maps.

A value map `[S, S]` int32 of each labeled image holds for how long keypoints have been
found (`expansion`); a step reads and writes the crops that it has drawn.
"""

import dataclasses
from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp

from rkd_jax.keypoints import rasterize
from rkd_jax.models.output import ModelOutput
from rkd_jax.tasks.retina import expansion
from rkd_jax.tasks.retina.config import RetinaConfig
from rkd_jax.tasks.retina.views import Views

Array = jax.Array


@flax.struct.dataclass
class Labels:
    """Labels of a batch after expansion.

    Attributes:
        maps: `[B, C, C]` of 0 and 1.
        warped: `[B, C, C]`, heatmaps of the detector views; zeros if nothing expands.
        active: bool `[B]`, examples whose keypoints expand.
        added: int32 `[B]`, keypoints added to an example.
    """

    maps: Array
    warped: Array
    active: Array
    added: Array


def expand(
    raw: ModelOutput,
    detector_view: Callable[[], ModelOutput],
    views: Views,
    value_maps: Array,
    index: Array,
    active: Array,
    *,
    options: RetinaConfig,
    axis_name: str | None,
) -> tuple[Labels, Array]:
    """Expand the labels of a batch and move the value maps, where it is time to.

    Args:
        raw: output of the raw views.
        detector_view: returns the output of the detector views; it runs only if an
            example is active.
        views: of the batch.
        value_maps: int32 `[L, S, S]` of all labeled images.
        index: int32 `[B]`, rank of each example among them, -1 for none.
        active: bool `[B]`.
        options: of the task.
        axis_name: mapped axis whose devices all write their crops; None for one.

    Returns:
        The labels and the new value maps.
    """
    side = views.raw.shape[1]
    labels = jax.vmap(
        lambda xy, mask: rasterize(xy, mask, (side, side), rounding="round")
    )(views.labels, views.labels_mask)
    corner = jnp.stack(
        [jnp.maximum(index, 0), views.origin[:, 1], views.origin[:, 0]], -1
    )
    value = jax.vmap(
        lambda at: jax.lax.dynamic_slice(value_maps, tuple(at), (1, side, side))[0]
    )(corner)
    added = jnp.zeros(labels.shape[:1], jnp.int32)
    still = (labels, value, added, jnp.zeros_like(labels))

    def run(_: None) -> tuple[Array, Array, Array, Array]:
        warped = jax.lax.stop_gradient(detector_view())
        result = jax.vmap(
            lambda *parts: expansion.expand(
                *parts[:8], options=expansion_options(options), size=parts[8]
            )
        )(
            jnp.where(views.field, jax.lax.stop_gradient(raw.heatmap), 0.0),
            warped.heatmap,
            jax.lax.stop_gradient(raw.descriptors),
            warped.descriptors,
            views.h_detector,
            value,
            views.labels,
            views.labels_mask,
            views.size,
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
    value_maps = write_back(value_maps, corner, value, active, axis_name)
    return Labels(labels, warped, active, added), value_maps


def write_back(
    value_maps: Array,
    corner: Array,
    value: Array,
    active: Array,
    axis_name: str | None,
) -> Array:
    """Write the crops of all devices into every device's copy of the maps.

    Args:
        value_maps: int32 `[L, S, S]`.
        corner: int32 `[B, 3]`, where each crop begins in them.
        value: int32 `[B, C, C]`, the new crops.
        active: bool `[B]`, the crops to write.
        axis_name: mapped axis; None for one device.
    """
    if axis_name is not None:
        corner, value, active = (
            jax.lax.all_gather(x, axis_name, tiled=True)
            for x in (corner, value, active)
        )

    def write(i: Array, maps: Array) -> Array:
        at = tuple(corner[i])
        old = jax.lax.dynamic_slice(maps, at, (1, *value.shape[1:]))
        new = jnp.where(active[i], value[i][None], old)
        return jax.lax.dynamic_update_slice(maps, new, at)

    return jax.lax.fori_loop(0, value.shape[0], write, value_maps)


def expansion_options(options: RetinaConfig) -> expansion.ExpansionOptions:
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

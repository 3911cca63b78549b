"""Dice losses of heatmaps: to the labels, to the warped view, to the teacher."""

import functools
from collections.abc import Callable

import jax

from rkd_jax import losses
from rkd_jax.geometry.warp import warp, warp_mask
from rkd_jax.tasks.reductions import global_mean, global_sum
from rkd_jax.tasks.retina.config import RetinaConfig

Array = jax.Array


def detector_terms(
    heatmap: Array,
    labels: Array,
    labeled: Array,
    warped: Array,
    h_detector: Array,
    active: Array,
    *,
    options: RetinaConfig,
    axis_name: str | None,
) -> tuple[Array, Array]:
    """Return Dice to the labels and to the warped heatmap brought back.

    Args:
        heatmap: `[B, C, C]` of the raw views.
        labels: `[B, C, C]` of 0 and 1.
        labeled: bool `[B]`, examples of the first term.
        warped: `[B, C, C]`, heatmaps of the detector views.
        h_detector: `[B, 3, 3]`, raw to detector view.
        active: bool `[B]`, examples of the second term.
        options: of the task.
        axis_name: mapped axis over which the terms average.
    """
    detector = dice(
        losses.dice_loss,
        heatmap,
        losses.smooth_labels(labels),
        labeled,
        options=options,
        axis_name=axis_name,
    )
    size = heatmap.shape[1:]

    def bring_back(warped: Array, h: Array) -> tuple[Array, Array]:
        return warp(warped, h, size), warp_mask(size, h, size)

    back, seen = jax.vmap(bring_back)(warped, h_detector)
    geometric = dice(
        losses.dice_loss,
        heatmap,
        jax.lax.stop_gradient(back),
        active,
        where=seen if options.mask_geometric else None,
        options=options,
        axis_name=axis_name,
    )
    return detector, geometric


def dice(
    loss: Callable[..., Array],
    first: Array,
    second: Array,
    examples: Array,
    *,
    options: RetinaConfig,
    axis_name: str | None,
    where: Array | None = None,
) -> Array:
    """Return a Dice loss of heatmaps `[B, C, C]` over the examples that count."""
    if options.dice_per_example:
        each = loss(first, second, where=where, per_example=True)
        return global_mean(each, examples, axis_name)
    counted = examples[:, None, None]
    return loss(
        first,
        second,
        where=counted if where is None else where & counted,
        total=functools.partial(global_sum, axis_name=axis_name),
    )

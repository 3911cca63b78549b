"""The points of a training image at which descriptors are compared."""

import jax
import jax.numpy as jnp

from rkd_jax.keypoints import Keypoints, detect
from rkd_jax.tasks.retina.config import RetinaConfig
from rkd_jax.tasks.retina.views import Views, box_mean

Array = jax.Array
# A labeled pixel counts more than any probability when keypoints are chosen.
LABEL_SCORE = 10.0


def descriptor_points(
    key: Array,
    heatmap: Array,
    views: Views,
    labels: Array,
    expanding: Array,
    *,
    options: RetinaConfig,
) -> Keypoints:
    """Return the points of the descriptor term.

    Args:
        key: of this image, for texture points.
        heatmap: `[C, C]` of the student; used once keypoints expand.
        views: of this image.
        labels: `[C, C]` of 0 and 1; they come first.
        expanding: bool scalar.
        options: of the task.
    """
    found = keypoints(
        jnp.where(expanding, heatmap, 0.0),
        views,
        labels,
        options.nms_radius,
        options.threshold,
        options=options,
    )
    return with_texture(key, found, views, options=options)


def teacher_points(
    key: Array, heatmap: Array, views: Views, labels: Array, *, options: RetinaConfig
) -> Keypoints:
    """Return the points of the distillation term: labels and the teacher's keypoints.

    Args:
        key: of this image, for texture points.
        heatmap: `[C, C]` of the teacher.
        views: of this image.
        labels: `[C, C]` of 0 and 1; they come first.
        options: of the task.
    """
    found = keypoints(
        heatmap,
        views,
        labels,
        options.teacher_nms_radius,
        options.teacher_threshold,
        options=options,
    )
    return with_texture(key, found, views, options=options)


def keypoints(
    heatmap: Array,
    views: Views,
    labels: Array,
    radius: int,
    threshold: float,
    *,
    options: RetinaConfig,
) -> Keypoints:
    """Return labels and peaks of a heatmap `[C, C]` on the fundus, without gradient."""
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


def with_texture(
    key: Array, found: Keypoints, views: Views, *, options: RetinaConfig
) -> Keypoints:
    """Add points where the image has structure, drawn anew each step."""
    if not options.texture_points:
        return found
    image = views.raw[..., 0]
    smooth = box_mean(box_mean(image))
    chance = jnp.abs(smooth - box_mean(box_mean(smooth)))
    chance = jnp.where(views.field, chance, 0.0)
    chance = chance * jax.random.uniform(key, chance.shape)
    drawn = detect(
        jax.lax.stop_gradient(chance),
        max_keypoints=options.texture_points,
        threshold=1e-4,
        radius=6,
        border=options.border,
        size=views.size,
    )
    return Keypoints(
        xy=jnp.concatenate([found.xy, drawn.xy]),
        scores=jnp.concatenate([found.scores, drawn.scores]),
        mask=jnp.concatenate([found.mask, drawn.mask]),
    )

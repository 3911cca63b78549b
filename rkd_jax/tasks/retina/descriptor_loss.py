"""The loss of descriptors at points: triplet, InfoNCE or both."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rkd_jax import losses
from rkd_jax.geometry.deformation import deform
from rkd_jax.keypoints import Keypoints, sample_descriptors
from rkd_jax.tasks.retina.config import RetinaConfig
from rkd_jax.tasks.retina.views import Views

Array = jax.Array


def pair_loss(
    triplet: Callable[..., Array],
    anchors: Array,
    positives: Array,
    key: Array,
    *,
    where: Array,
    xy: Array,
    options: RetinaConfig,
) -> Array:
    """Return the loss of each pair of descriptors, `[K]` float32.

    Args:
        triplet: `losses.triplet_loss`, or `losses.descriptor_distillation`, whose
            anchors have no gradient.
        anchors: `[K, D]`.
        positives: `[K, D]`, of the same points.
        key: PRNG key of this image, for the random negative.
        where: bool `[K]`, points that count.
        xy: `[K, 2]`, (x, y) px of the points in the raw crop.
        options: which losses, and their numbers.
    """
    value = jnp.zeros(where.shape, jnp.float32)
    if "triplet" in options.descriptor_loss:
        value += triplet(
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
            xy=xy,
            exclude_radius=options.infonce_exclude_radius,
            temperature=options.infonce_temperature,
        )
    return value


def descriptor_terms(
    key: Array,
    raw: Array,
    warped: Array,
    points: Keypoints,
    views: Views,
    *,
    options: RetinaConfig,
) -> tuple[Array, Array, Array]:
    """Compare the descriptors of the raw view with those of the warped one.

    Args:
        key: PRNG key of this image.
        raw: descriptor map of the raw view.
        warped: descriptor map of the descriptor view.
        points: K points of the raw view.
        views: of this image.
        options: of the task.

    Returns:
        The loss of each point `[K]`, which points count, and which have the nearest
        descriptor at their own place.
    """
    side = views.raw.shape[0]
    xy_warped = deform(views.descriptor_warp, points.xy)
    inside = jnp.all((xy_warped > 0) & (xy_warped < side - 1), axis=-1)
    where = points.mask & inside
    anchors = sample_descriptors(raw, points.xy, grid=options.descriptor_grid)
    positives = sample_descriptors(warped, xy_warped, grid=options.descriptor_grid)
    value = pair_loss(
        losses.triplet_loss,
        anchors,
        positives,
        key,
        where=where,
        xy=points.xy,
        options=options,
    )
    likeness = jnp.where(where[None, :], anchors @ positives.T, -2.0)
    right = jnp.argmax(likeness, axis=1) == jnp.arange(where.shape[0])
    return value, _countable(where), right


def distillation_terms(
    key: Array,
    ours: Array,
    theirs: Array,
    points: Keypoints,
    *,
    options: RetinaConfig,
    teacher_grid: str | None,
) -> tuple[Array, Array]:
    """Compare the student's descriptors of the raw view with the teacher's.

    Args:
        key: PRNG key of this image.
        ours: the student's descriptor map.
        theirs: the teacher's, without gradient.
        points: K points of the raw view.
        options: of the task.
        teacher_grid: how the teacher's map is read; None as the student's.

    Returns:
        The loss of each point `[K]`, and which points count.
    """
    grid = options.descriptor_grid
    anchors = sample_descriptors(theirs, points.xy, grid=teacher_grid or grid)
    followers = sample_descriptors(ours, points.xy, grid=grid)
    value = pair_loss(
        losses.descriptor_distillation,
        jax.lax.stop_gradient(anchors),
        followers,
        key,
        where=points.mask,
        xy=points.xy,
        options=options,
    )
    return value, _countable(points.mask)


def _countable(where: Array) -> Array:
    """Leave out the points of an image that has fewer than two: no negatives."""
    return where & (jnp.sum(where) >= 2)

"""Descriptor triplet with one hard and one random negative, and its GOR term."""

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import (
    check_descriptors,
    check_reduction,
    point_mask,
    reduce_points,
    unit,
)
from rkd_jax.losses.hinge import hinge

Array = jax.Array


def choose_negatives(
    anchors: Array, positives: Array, key: Array, *, where: Array | None = None
) -> tuple[Array, Array]:
    """Pick one hard and one random negative of every point of one image.

    hard(i) = argmin over valid j != i of ||a_i - p_j|| (ties: lowest j);
    random(i) is uniform over valid j != i. The draw of a point depends on the key and
    on its rank among the valid points, so that padding never changes it. No gradient
    passes through either choice.

    Args:
        anchors: `[N, D]`, any float type; compared after scaling to unit length.
        positives: `[N, D]`, same.
        key: PRNG key of this image.
        where: bool `[N]`, the valid points; None means all.

    Returns:
        hard, random: int32 `[N]` row numbers. Rows are meaningless (but in range)
        where the point is masked or fewer than two are valid.

    Raises:
        ValueError: shapes differ or are not `[N, D]`, or the mask does not fit.

    >>> import jax, jax.numpy as jnp
    >>> descriptors = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> hard, _ = choose_negatives(descriptors, descriptors, jax.random.key(0))
    >>> hard.tolist()
    [1, 0, 1]

    Source: SuperRetina (Liu et al. 2022), descriptor loss. There a lone point is its
    own negative; here `triplet_loss` gives 0 for it.
    """
    check_descriptors("anchors", anchors, "positives", positives)
    mask = point_mask(where, "anchors", anchors)
    anchors = jax.lax.stop_gradient(unit(anchors, mask))
    positives = jax.lax.stop_gradient(unit(positives, mask))
    points = anchors.shape[0]
    if points == 0:
        return jnp.zeros((0,), jnp.int32), jnp.zeros((0,), jnp.int32)
    others = mask[None, :] & ~jnp.eye(points, dtype=bool)

    products = jnp.matmul(anchors, positives.T, precision=jax.lax.Precision.HIGHEST)
    squared = jnp.sum(positives * positives, axis=-1)[None, :] - 2.0 * products
    hard = jnp.argmin(jnp.where(others, squared, jnp.inf), axis=-1)

    rank = jnp.cumsum(mask, dtype=jnp.int32) - 1
    count = jnp.sum(mask, dtype=jnp.int32)
    draw = jax.vmap(
        lambda r: jax.random.randint(
            jax.random.fold_in(key, jnp.maximum(r, 0)), (), 0, jnp.maximum(count - 1, 1)
        )
    )(rank)
    draw = jnp.minimum(draw + (draw >= rank).astype(jnp.int32), points - 1)
    valid_first = jnp.argsort(~mask, stable=True)
    return hard.astype(jnp.int32), valid_first[draw].astype(jnp.int32)


def triplet_loss(
    anchors: Array,
    positives: Array,
    key: Array,
    *,
    where: Array | None = None,
    margin: float | Array = 0.8,
    gor_weight: float | Array = 1.0,
    reduction: str = "none",
) -> Array:
    """Pull matching descriptors together and push two negatives away.

    Row i of `anchors` and of `positives` is the same point of one image, seen twice.
    With unit vectors, d(x, y) = 1 - x.y and h, r the positives of the points that
    `choose_negatives` picks,

        l_i = max(0, margin + d(a_i, p_i) - (d(a_i, h_i) + d(a_i, r_i)) / 2)
              + gor_weight ((a_i.h_i)^2 + (a_i.r_i)^2).

    The second part is a global orthogonal regularizer (second moment only): negatives
    are pushed towards a right angle. The gradient is zero at zero vectors.

    Args:
        anchors: `[N, D]`, any float type and length; scaled to unit length here.
        positives: `[N, D]`, same.
        key: PRNG key of this image, for the random negative.
        where: bool `[N]`, the valid points; rows outside may hold anything and change
            nothing. None means all. Fewer than two valid points give zeros.
        margin: margin of the hinge, at least 0; distances lie in 0..2.
        gor_weight: weight of the regularizer; 0 leaves the poster's formula.
        reduction: "none", "mean" (over valid points; the papers' code) or "sum" (as
            the poster writes it).

    Returns:
        float32 `[N]`, 0 at masked points; a scalar for "mean" and "sum". To pool the
        points of a batch as the papers' code does, vmap with "sum" and divide the
        total by the number of valid points.

    Raises:
        ValueError: shapes differ or are not `[N, D]`, the mask does not fit, or the
            reduction is unknown.

    >>> import jax, jax.numpy as jnp
    >>> descriptors = jnp.eye(3)
    >>> triplet_loss(descriptors, descriptors, jax.random.key(0)).tolist()
    [0.0, 0.0, 0.0]
    >>> swapped = descriptors[jnp.array([1, 0, 2])]
    >>> round(float(triplet_loss(descriptors, swapped, jax.random.key(0))[0]), 2) > 1.8
    True

    Source: SuperRetina (Liu et al. 2022) descriptor loss; regularizer after Zhang et
    al. 2017 (spread-out descriptors). We differ: masks instead of lists of any length,
    per-point output, and 0 for a lone point.
    """
    check_descriptors("anchors", anchors, "positives", positives)
    check_reduction(reduction)
    mask = point_mask(where, "anchors", anchors)
    hard, random = choose_negatives(anchors, positives, key, where=mask)
    anchors = unit(anchors, mask)
    positives = unit(positives, mask)

    cos_positive = jnp.sum(anchors * positives, axis=-1)
    cos_hard = jnp.sum(anchors * positives[hard], axis=-1)
    cos_random = jnp.sum(anchors * positives[random], axis=-1)
    # Distances without their 1, which cancels.
    values = hinge(margin, -cos_positive, -0.5 * (cos_hard + cos_random))
    regularizer = cos_hard * cos_hard + cos_random * cos_random
    values = values + gor_weight * regularizer
    enough = jnp.sum(mask, dtype=jnp.int32) >= 2
    return reduce_points(jnp.where(enough, values, 0.0), mask, reduction)

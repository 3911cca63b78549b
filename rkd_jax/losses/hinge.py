"""Triplet hinge on given triplets, with the distance of your choice."""

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import (
    check_descriptors,
    check_reduction,
    point_mask,
    reduce_points,
    unit,
)

Array = jax.Array


def hinge(margin: float | Array, to_positive: Array, to_negative: Array) -> Array:
    """Return max(0, margin + to_positive - to_negative)."""
    return jax.nn.relu(margin + to_positive - to_negative)


def _length(vectors: Array) -> Array:
    """Return the Euclidean length of rows, with zero gradient at zero vectors."""
    squared = jnp.sum(vectors * vectors, axis=-1)
    nonzero = squared > 0
    return jnp.where(nonzero, jnp.sqrt(jnp.where(nonzero, squared, 1.0)), 0.0)


def _l2(a: Array, b: Array) -> Array:
    return _length(a - b)


def _cosine(a: Array, b: Array) -> Array:
    return 1.0 - jnp.sum(unit(a) * unit(b), axis=-1)


def _angular(a: Array, b: Array) -> Array:
    # arccos(cos) = 2 atan2(|a - b|, |a + b|) of unit vectors. The slope of arccos is
    # infinite at 1; this one's is not, so that no cosine need be cut at 1 - 1e-6.
    a, b = unit(a), unit(b)
    apart, along = _length(a - b), _length(a + b)
    nothing = (apart == 0) & (along == 0)  # two zero vectors: a right angle
    apart, along = (jnp.where(nothing, 1.0, x) for x in (apart, along))
    return 2.0 / jnp.pi * jnp.arctan2(apart, along)


DISTANCES = {"angular": _angular, "cosine": _cosine, "l2": _l2}


def triplet_hinge(
    anchors: Array,
    positives: Array,
    negatives: Array,
    *,
    margin: float | Array = 0.1,
    distance: str = "angular",
    where: Array | None = None,
    reduction: str = "none",
) -> Array:
    """Ask that a positive be nearer to its anchor than a negative, by a margin.

        l_i = max(0, d(a_i, p_i) - d(a_i, n_i) + margin),

    with the angle between the vectors as a share of a half turn, arccos(cos) / pi in
    0..1 ("angular"), with 1 - cos in 0..2 ("cosine"), or with the Euclidean distance
    of the vectors as they are ("l2"). The cosine with a zero vector counts as 0.
    Gradients are finite everywhere: zero at zero vectors ("angular", "cosine") and at
    equal ones.

    Args:
        anchors: `[N, D]`, any float type; of any length but for "l2".
        positives: `[N, D]`, same.
        negatives: `[N, D]`, same.
        margin: in the unit of the distance, at least 0. Features after a ReLU have
            angular distances of at most 0.5.
        distance: "angular", "cosine" or "l2".
        where: bool `[N]`, the valid triplets; rows outside may hold anything and change
            nothing. None means all.
        reduction: "none", "mean" (over valid triplets) or "sum".

    Returns:
        float32 `[N]` of at least 0, 0 at masked triplets; a scalar for "mean" and
        "sum".

    Raises:
        ValueError: shapes differ or are not `[N, D]`, the mask does not fit, or the
            distance or the reduction is unknown.

    >>> import jax.numpy as jnp
    >>> a, right_angle = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
    >>> for name in ("angular", "cosine", "l2"):
    ...     value = triplet_hinge(a, right_angle, a, distance=name)
    ...     print(name, round(float(value[0]), 2))
    angular 0.6
    cosine 1.1
    l2 1.51

    Source: Sarhan et al., MICCAI 2019, angular cosine distance of the features of
    patches; "l2" as FaceNet (Schroff et al., CVPR 2015), whose distances are squared.
    `triplet_loss` is the same hinge, with negatives that it chooses.
    """
    check_descriptors("anchors", anchors, "positives", positives)
    check_descriptors("anchors", anchors, "negatives", negatives)
    check_reduction(reduction)
    if distance not in DISTANCES:
        raise ValueError(
            f"distance is {distance!r}; expected one of {', '.join(DISTANCES)}"
        )
    mask = point_mask(where, "anchors", anchors)
    anchors, positives, negatives = (
        jnp.where(mask[:, None], rows.astype(jnp.float32), 0.0)
        for rows in (anchors, positives, negatives)
    )
    measure = DISTANCES[distance]
    values = hinge(margin, measure(anchors, positives), measure(anchors, negatives))
    return reduce_points(values, mask, reduction)

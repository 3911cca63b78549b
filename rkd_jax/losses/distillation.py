"""Reverse knowledge distillation: a frozen teacher's heatmap and descriptors."""

from collections.abc import Callable

import jax

from rkd_jax.losses._masked import check_descriptors, check_same_shape
from rkd_jax.losses.dice import dice_loss
from rkd_jax.losses.triplet import triplet_loss

Array = jax.Array


def heatmap_distillation(
    teacher: Array,
    student: Array,
    *,
    where: Array | None = None,
    eps: float | Array = 1e-3,
    per_example: bool = False,
    total: Callable[[Array], Array] | None = None,
) -> Array:
    """Compare the student's heatmap with the teacher's by squared Dice.

    L = D(P_teacher, P_student), with D of `dice_loss`. The teacher gets no gradient.

    Args:
        teacher: `[B, H, W]` probabilities in 0..1, any float type.
        student: `[B, H, W]`, same.
        where: mask of the pixels that count, `[B, H, W]` or sides of 1. None means all.
        eps: keeps the quotient finite on empty maps.
        per_example: False for one scalar over the flattened batch, True for `[B]`.
        total: applied to each sum, see `dice_loss`.

    Returns:
        float32 scalar in 0..1, or `[B]`.

    Raises:
        ValueError: shapes differ, or the mask does not fit.

    >>> import jax.numpy as jnp
    >>> heatmap = jnp.full((1, 8, 8), 0.5)
    >>> float(heatmap_distillation(heatmap, heatmap))
    0.0

    Source: RKD (Nasser et al., WACV 2024), classification distillation; eps as there.
    """
    check_same_shape("teacher", teacher, "student", student)
    return dice_loss(
        student,
        jax.lax.stop_gradient(teacher),
        where=where,
        eps=eps,
        per_example=per_example,
        total=total,
    )


def descriptor_distillation(
    teacher_desc: Array,
    student_desc: Array,
    key: Array,
    *,
    where: Array | None = None,
    margin: float | Array = 0.8,
    gor_weight: float | Array = 1.0,
    reduction: str = "none",
) -> Array:
    """Draw the student's descriptors to the teacher's at the same points.

    `triplet_loss` with the teacher's descriptor as anchor (no gradient), the student's
    at the same point as positive, and the student's at other points of the same image
    as negatives. The papers take the points from the teacher's heatmap.

    Args:
        teacher_desc: `[N, D]`, any float type and length.
        student_desc: `[N, D]`, same.
        key: PRNG key of this image, for the random negative.
        where: bool `[N]`, the valid points. None means all; fewer than two give zeros.
        margin: margin of the hinge, at least 0.
        gor_weight: weight of the regularizer; 0 leaves the poster's formula.
        reduction: "none", "mean" (over valid points) or "sum".

    Returns:
        float32 `[N]`, 0 at masked points; a scalar for "mean" and "sum".

    Raises:
        ValueError: shapes differ or are not `[N, D]`, the mask does not fit, or the
            reduction is unknown.

    >>> import jax, jax.numpy as jnp
    >>> teacher = jnp.eye(4)
    >>> key = jax.random.key(0)
    >>> float(descriptor_distillation(teacher, teacher, key, reduction="mean"))
    0.0

    Source: RKD (Nasser et al., WACV 2024), descriptor distillation. The poster leaves
    this term open; the form is that of the authors' released code.
    """
    check_descriptors("teacher_desc", teacher_desc, "student_desc", student_desc)
    return triplet_loss(
        jax.lax.stop_gradient(teacher_desc),
        student_desc,
        key,
        where=where,
        margin=margin,
        gor_weight=gor_weight,
        reduction=reduction,
    )

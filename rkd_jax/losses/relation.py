"""Relation preserving: a student sees the classes where its teacher sees them."""

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import (
    check_positive,
    check_reduction,
    point_mask,
    reduce_points,
    unit,
)
from rkd_jax.losses.predictions import divergence

Array = jax.Array


def class_anchors(
    bank: Array, labels: Array, classes: int, *, relu: bool = True
) -> Array:
    """Return one direction a class: the mean of its rows, scaled to unit length.

        a_c = unit(mean over labels = c of ReLU(row)).

    Each class has one anchor, however many rows it has. There is no gradient.

    Args:
        bank: `[n, d]`, one row an example, any float type.
        labels: int `[n]`, the classes; a row with another number (-1) is left out.
        classes: C.
        relu: whether negative numbers of a row count as 0, as published.

    Returns:
        float32 `[C, d]` of unit length; zeros for a class without rows, or whose mean
        is zero, which `relation_distillation` leaves out.

    Raises:
        ValueError: shapes do not fit.

    >>> import jax.numpy as jnp
    >>> bank = jnp.array([[1.0, 0.0], [1.0, 2.0], [-3.0, 0.5]])
    >>> print(class_anchors(bank, jnp.array([0, 0, 2]), 3).round(4))
    [[0.7071 0.7071]
     [0.     0.    ]
     [0.     1.    ]]

    Source: CRCKD (Xing et al., MICCAI 2021), centroids of classes.
    """
    if bank.ndim != 2 or labels.shape != bank.shape[:1]:
        raise ValueError(
            f"bank has shape {bank.shape} and labels have shape {labels.shape}; "
            "expected [n, d] and [n]"
        )
    labels = jnp.asarray(labels)
    # A product, not a scatter: the same bits in every run on a GPU, too.
    members = labels[None, :] == jnp.arange(classes, dtype=labels.dtype)[:, None]
    rows = jnp.where(jnp.any(members, axis=0)[:, None], bank.astype(jnp.float32), 0.0)
    rows = jax.nn.relu(rows) if relu else rows
    sums = jnp.matmul(
        members.astype(jnp.float32), rows, precision=jax.lax.Precision.HIGHEST
    )
    counts = jnp.sum(members, axis=1, dtype=jnp.float32)
    return jax.lax.stop_gradient(unit(sums / jnp.maximum(counts, 1.0)[:, None]))


def relation_distillation(
    student: Array,
    teacher: Array,
    anchors_student: Array,
    anchors_teacher: Array,
    *,
    temperature: float | Array = 0.07,
    where: Array | None = None,
    examples: Array | None = None,
    reduction: str = "none",
) -> Array:
    """Keep an example's relations to anchors as the teacher has them.

    With unit vectors u of the student, v of the teacher, and anchors a of each,

        l_i = KL(softmax_c(v_i.a^t_c / T) || softmax_c(u_i.a^s_c / T)).

    The two may have different widths. Anchors may be those of `class_anchors`, or any
    rows that both have. Only `student` gets a gradient.

    Args:
        student: `[B, d]`, any float type and length; scaled to unit length here.
        teacher: `[B, e]`, same.
        anchors_student: `[A, d]`, same.
        anchors_teacher: `[A, e]`, same.
        temperature: T, positive; smaller is stricter.
        where: bool `[A]`, the anchors that count; others may hold anything. Anchors
            that are zero (a class without rows) never count.
        examples: bool `[B]`, the examples that count; rows outside may hold anything
            and change nothing. None means all.
        reduction: "none", "mean" (over examples that count) or "sum".

    Returns:
        float32 `[B]` of at least 0 up to rounding, 0 at masked examples and without
        anchors; a scalar for "mean" and "sum".

    Raises:
        ValueError: shapes do not fit, the temperature is not positive, or the reduction
            is unknown.

    >>> import jax.numpy as jnp
    >>> student, teacher = jnp.array([[1.0, 0.2]]), jnp.array([[0.2, 1.0]])
    >>> anchors = jnp.eye(2)
    >>> relation_distillation(student, teacher, anchors, anchors[::-1]).tolist()
    [0.0]
    >>> loss = relation_distillation(student, teacher, anchors, anchors, temperature=1)
    >>> round(float(loss[0]), 4)
    0.2928

    Source: CRCKD (Xing et al., MICCAI 2021), categorical relation preserving.
    """
    check_positive("temperature", temperature)
    check_reduction(reduction)
    teacher = jax.lax.stop_gradient(teacher)
    sides = (student, anchors_student), (teacher, anchors_teacher)
    for name, (rows, anchors) in zip(("student", "teacher"), sides, strict=True):
        fits = rows.ndim == anchors.ndim == 2 and rows.shape[1] == anchors.shape[1]
        if not fits:
            raise ValueError(
                f"{name} has shape {rows.shape} and anchors_{name} has shape "
                f"{anchors.shape}; expected [B, d] and [A, d]"
            )
    if len(student) != len(teacher) or len(anchors_student) != len(anchors_teacher):
        raise ValueError(
            f"student and teacher have {len(student)} and {len(teacher)} rows, their "
            f"anchors {len(anchors_student)} and {len(anchors_teacher)}; expected as "
            "many of both"
        )
    mask = point_mask(examples, "student", student)
    counted = point_mask(where, "anchors_student", anchors_student)
    relations = []
    for rows, anchors in sides:
        anchors = jax.lax.stop_gradient(unit(anchors, counted))
        counted &= jnp.any(anchors != 0, axis=1)
        cosines = jnp.matmul(
            unit(rows, mask), anchors.T, precision=jax.lax.Precision.HIGHEST
        )
        relations.append(cosines / temperature)
    values = divergence(*relations, jnp.broadcast_to(counted, relations[0].shape))
    return reduce_points(values, mask, reduction)

"""Losses on the classes of an image: labels, a teacher's prediction, the ramp."""

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.losses._masked import (
    check_positive,
    check_reduction,
    check_same_shape,
    point_mask,
    reduce_points,
)

Array = jax.Array

_LOWEST = float(np.finfo(np.float32).min) / 2
"""Stands for the logit of a class that does not count; finite, so are gradients."""


def divergence(student: Array, teacher: Array, where: Array | None = None) -> Array:
    """Return the Kullback-Leibler divergence of two softmaxes over the last axis.

        KL = sum_c p_c (log p_c - log q_c),   p of the teacher, q of the student.

    Args:
        student: `[..., C]` logits, float32.
        teacher: same shape; it gets a gradient, too.
        where: bool `[..., C]`, the classes that count; logits outside may hold
            anything. None counts all; where none counts, the divergence is 0.
    """
    if where is not None:
        student, teacher = (jnp.where(where, x, _LOWEST) for x in (student, teacher))
    log_p, log_q = (jax.nn.log_softmax(x, axis=-1) for x in (teacher, student))
    terms = jnp.exp(log_p) * (log_p - log_q)
    return jnp.sum(terms if where is None else jnp.where(where, terms, 0.0), axis=-1)


def _check_logits(name: str, logits: Array) -> None:
    if logits.ndim != 2 or not logits.shape[1]:
        raise ValueError(f"{name} have shape {logits.shape}; expected [B, C] logits")


def prediction_distillation(
    student_logits: Array,
    teacher_logits: Array,
    *,
    temperature: float | Array = 1.0,
    where: Array | None = None,
    reduction: str = "none",
) -> Array:
    """Ask the student to predict the classes as the teacher does.

    With p = softmax(teacher / T) and q = softmax(student / T),

        l_i = KL(p_i || q_i) = sum_c p_ic (log p_ic - log q_ic).

    It is not multiplied by T^2, which keeps the size of gradients (Hinton et al.,
    2015). The teacher gets no gradient.

    Args:
        student_logits: `[B, C]`, any float type.
        teacher_logits: `[B, C]`, same.
        temperature: T, positive; larger compares small probabilities as well.
        where: bool `[B]`, the examples that count; rows outside may hold anything and
            change nothing. None means all.
        reduction: "none", "mean" (over examples that count) or "sum".

    Returns:
        float32 `[B]` of at least 0 up to rounding, 0 at masked examples; a scalar for
        "mean" and "sum".

    Raises:
        ValueError: shapes differ or are not `[B, C]`, the mask does not fit, the
            temperature is not positive, or the reduction is unknown.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[1.0, 2, 3, 0, -1], [0, 0.5, 0, 1, 2]])
    >>> teacher = jnp.array([[1.5, 1, 3.5, 0, -2], [0, 1, 0.3, 0, 2.5]])
    >>> loss = prediction_distillation(student, teacher, reduction="mean")
    >>> round(float(loss), 5)
    0.10249

    Source: CRCKD (Xing et al., MICCAI 2021), prediction term of the mean teacher at
    T = 1. There a short last batch is divided by the nominal batch size.
    """
    _check_logits("student_logits", student_logits)
    check_same_shape("student_logits", student_logits, "teacher_logits", teacher_logits)
    check_positive("temperature", temperature)
    check_reduction(reduction)
    mask = point_mask(where, "student_logits", student_logits)
    # The teacher is a constant, a temperature that divides both need not be.
    student, teacher = (
        jnp.where(mask[:, None], x.astype(jnp.float32), 0.0) / temperature
        for x in (student_logits, jax.lax.stop_gradient(teacher_logits))
    )
    return reduce_points(divergence(student, teacher), mask, reduction)


def class_cross_entropy(
    logits: Array,
    labels: Array,
    *,
    class_weights: Array | None = None,
    where: Array | None = None,
    reduction: str = "none",
) -> Array:
    """Compare predictions with labels; rare classes may weigh more.

        l_i = -w[y_i] log softmax(logits_i)[y_i];   mean: sum_i l_i / sum_i w[y_i].

    Args:
        logits: `[B, C]`, any float type.
        labels: int `[B]` in 0..C-1.
        class_weights: `[C]` of at least 0, for example (all examples) / (examples of
            the class) in the training data; None: 1. Constants.
        where: bool `[B]`, the examples that count; rows and labels outside may hold
            anything and change nothing. None means all.
        reduction: "none", "mean" (weighted, as PyTorch's) or "sum".

    Returns:
        float32 `[B]` of at least 0, 0 at masked examples; a scalar for "mean" and
        "sum". Without examples or weights, the mean is 0.

    Raises:
        ValueError: shapes do not fit, or the reduction is unknown.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[1.0, 2, 3, 0, -1], [0, 0.5, 0, 1, 2]])
    >>> weights = 3662 / jnp.array([1805.0, 370, 999, 193, 295])
    >>> loss = class_cross_entropy(
    ...     logits, jnp.array([2, 4]), class_weights=weights, reduction="mean"
    ... )
    >>> round(float(loss), 5)
    0.58282

    Source: CRCKD (Xing et al., MICCAI 2021), with weights from all data, of which the
    test data should be no part.
    """
    _check_logits("logits", logits)
    check_reduction(reduction)
    batch, classes = logits.shape
    if labels.shape != (batch,):
        raise ValueError(
            f"labels have shape {labels.shape} but logits have shape {logits.shape}: "
            f"expected ({batch},)"
        )
    if class_weights is None:
        class_weights = jnp.ones((classes,), jnp.float32)
    if class_weights.shape != (classes,):
        raise ValueError(
            f"class_weights have shape {class_weights.shape} but logits have shape "
            f"{logits.shape}: expected ({classes},)"
        )
    mask = point_mask(where, "logits", logits)
    labels = jnp.where(mask, labels, 0)[:, None]
    logits = jnp.where(mask[:, None], logits.astype(jnp.float32), 0.0)
    log_p = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=-1), labels, axis=1)
    weights = jax.lax.stop_gradient(jnp.asarray(class_weights, jnp.float32))
    weights = jnp.where(mask, weights[labels[:, 0]], 0.0)
    values = reduce_points(
        -weights * log_p[:, 0], mask, "sum" if reduction == "mean" else reduction
    )
    if reduction != "mean":
        return values
    total = jnp.sum(weights)
    return jnp.where(total > 0, values / jnp.where(total > 0, total, 1.0), 0.0)


def ramp(epoch: float | Array, length: float | Array) -> Array:
    """Return the share in 0..1 with which a term counts, rising over epochs.

        r(e) = exp(-5 (1 - e / length)^2) up to e = length, then 1.

    Args:
        epoch: from 0, fractions too; any shape.
        length: in epochs, at least 0; 0 gives 1 from the beginning.

    Returns:
        float32, shape of `epoch`.

    >>> [round(float(ramp(epoch, 30)), 4) for epoch in (0, 15, 20, 30, 99)]
    [0.0067, 0.2865, 0.5738, 1.0, 1.0]

    Source: sigmoid ramp-up of Laine & Aila, ICLR 2017, as in the mean teacher and in
    CRCKD, where it begins to act at epoch 20.
    """
    epoch, length = (jnp.asarray(x, jnp.float32) for x in (epoch, length))
    rising = epoch < length
    share = jnp.maximum(epoch, 0.0) / jnp.where(length > 0, length, 1.0)
    return jnp.where(rising, jnp.exp(-5.0 * (1.0 - share) ** 2), 1.0)

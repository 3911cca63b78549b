"""Class-guided contrast between a student and its teacher, by memory banks.

A bank has a row for every training example, of unit length; the loss compares an
embedding with rows of the *other* network's bank.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import (
    broadcast_mask,
    check_positive,
    check_reduction,
    point_mask,
    reduce_points,
    unit,
)

Array = jax.Array


def _scores(
    embeddings: Array, rows: Array, where: Array | None, temperature: float | Array
) -> tuple[Array, Array]:
    """Return cosines / T `[B, R]` and which of them count; shapes are checked."""
    fits = embeddings.ndim == 2 and rows.ndim == 3
    if not fits or (rows.shape[0], rows.shape[2]) != embeddings.shape:
        raise ValueError(
            f"embeddings have shape {embeddings.shape} and rows have shape "
            f"{rows.shape}; expected [B, d] and [B, R, d]"
        )
    check_positive("temperature", temperature)
    mask = broadcast_mask(where, "scores", jnp.empty(rows.shape[:2]))
    used = jnp.any(mask, axis=1)
    embeddings = jnp.where(used[:, None], embeddings.astype(jnp.float32), 0.0)
    rows = jnp.where(mask[..., None], rows.astype(jnp.float32), 0.0)
    products = jnp.einsum(
        "bd,brd->br",
        embeddings,
        jax.lax.stop_gradient(rows),
        precision=jax.lax.Precision.HIGHEST,
    )
    return products / temperature, mask


def contrast_normalizer(
    embeddings: Array,
    rows: Array,
    bank_size: int,
    *,
    temperature: float | Array = 0.07,
    where: Array | None = None,
    total: Callable[[Array], Array] | None = None,
) -> Array:
    """Return the constant Z of `class_contrast`, from the first batch of a run.

        Z = n mean(exp(u_b . row_br / T)) over all b and r.

    Args:
        embeddings: `[B, d]` of unit length.
        rows: `[B, R, d]`, rows of the bank for each, of unit length.
        bank_size: n, rows of the bank.
        temperature: T, positive. At less than 0.012 exp(1 / T) overflows.
        where: bool `[B, R]` or sides of 1, the rows that count. None means all.
        total: applied to sum and count, for example the sum over the devices that
            share a batch. None leaves them as they are.

    Returns:
        float32 scalar, positive, without gradient.

    Raises:
        ValueError: shapes do not fit, or the temperature is not positive.

    >>> import jax.numpy as jnp
    >>> zeros = jnp.zeros((2, 3, 4))
    >>> float(contrast_normalizer(zeros[:, 0], zeros, 100))
    100.0

    Source: contrastive representation distillation (Tian et al., ICLR 2020), whose
    constant is set once as well.
    """
    scores, mask = _scores(embeddings, rows, where, temperature)
    exponentials = jnp.where(mask, jnp.exp(jnp.where(mask, scores, 0.0)), 0.0)
    whole = jnp.sum(exponentials), jnp.sum(mask, dtype=jnp.float32)
    if total is not None:
        whole = total(whole[0]), total(whole[1])
    mean = jnp.where(whole[1] > 0, whole[0] / jnp.maximum(whole[1], 1.0), 1.0)
    return jax.lax.stop_gradient(bank_size * mean)


def class_contrast(
    embeddings: Array,
    rows: Array,
    positives: int,
    *,
    bank_size: int,
    normalizer: float | Array,
    temperature: float | Array = 0.07,
    eps: float | Array = 1e-7,
    where: Array | None = None,
    reduction: str = "none",
) -> Array:
    """Draw an embedding to rows of its class and push it from rows of other classes.

    With x_r = exp(u . row_r / T) / Z, P positives, K negatives and c = K / n,

        l = -1/P sum_pos log(x / (x + c + eps)) - sum_neg log(c / (x + c + eps)).

    It is computed from log x, so that no exponential overflows. Rows and Z get no
    gradient. The whole term of CRCKD is the sum of two: student against the teacher's
    bank, and teacher against the student's.

    Args:
        embeddings: u, `[B, d]`, of unit length (`unit`), any float type.
        rows: `[B, P + K, d]`, rows of the other network's bank, of unit length: first
            those of the same class, then those of other classes.
        positives: P, at least 1.
        bank_size: n, rows of the bank.
        normalizer: Z, positive; see `contrast_normalizer`.
        temperature: T, positive.
        eps: at least 0.
        where: bool `[B, P + K]` or sides of 1, the rows that count, for a class with
            fewer than P examples, or `[B, 1]` for whole examples. P and K are then
            the numbers of rows that count. Rows outside may hold anything and change
            nothing. None means all.
        reduction: "none", "mean" (over examples with a row that counts) or "sum".

    Returns:
        float32 `[B]` of at least 0 up to rounding, 0 without rows; a scalar for "mean"
        and "sum".

    Raises:
        ValueError: shapes do not fit, P is not in 1..P + K, a number is not positive,
            or the reduction is unknown.

    >>> import jax.numpy as jnp
    >>> x = jnp.linspace(0.1, 1.0, 10).reshape(2, 5)  # with Z = T = 1
    >>> loss = class_contrast(
    ...     jnp.ones((2, 1)), jnp.log(x)[..., None], 2, bank_size=10,
    ...     normalizer=1.0, temperature=1.0, reduction="mean",
    ... )
    >>> round(float(loss), 4)
    4.1028

    Source: CRCKD (Xing et al., MICCAI 2021), class-guided contrastive distillation; the
    form is that of contrastive representation distillation (Tian et al., ICLR 2020).
    The mask and the order of the positives are ours.
    """
    check_positive("normalizer", normalizer)
    check_positive("bank_size", bank_size)
    check_reduction(reduction)
    scores, mask = _scores(embeddings, rows, where, temperature)
    if not 1 <= positives <= rows.shape[1]:
        raise ValueError(
            f"positives is {positives}; expected 1..{rows.shape[1]}, the rows of an "
            "example"
        )
    first = (jnp.arange(rows.shape[1]) < positives)[None, :]
    same, other = mask & first, mask & ~first
    same_count, other_count = (
        jnp.sum(kind, axis=1, keepdims=True, dtype=jnp.float32)
        for kind in (same, other)
    )
    share = other_count / bank_size
    # Without negatives and with eps = 0, x / (x + 0) is 1: the log of c is far down.
    noise = jnp.log(jnp.maximum(share + eps, 1e-30))
    log_x = scores - jnp.log(
        jax.lax.stop_gradient(jnp.asarray(normalizer, jnp.float32))
    )
    drawn = jnp.where(same, jax.nn.softplus(noise - log_x), 0.0)
    pushed = jax.nn.softplus(log_x - noise) + noise - jnp.log(jnp.maximum(share, 1e-30))
    pushed = jnp.where(other, pushed, 0.0)
    values = jnp.sum(drawn / jnp.maximum(same_count, 1.0) + pushed, axis=1)
    return reduce_points(values, jnp.any(mask, axis=1), reduction)


def update_bank(
    bank: Array,
    index: Array,
    rows: Array,
    momentum: float | Array = 0.5,
    *,
    where: Array | None = None,
) -> Array:
    """Return a bank whose rows of a batch have moved to the new embeddings.

        row_i <- unit(momentum row_i + (1 - momentum) new).

    There is no gradient. The result does not depend on how a batch is split as long as
    `index` and `rows` are those of the whole batch.

    Args:
        bank: `[n, d]`.
        index: int `[B]`, row of each example, 0..n-1. Of equal ones the last counts.
        rows: `[B, d]`, new embeddings of unit length, any float type.
        momentum: 0..1; 0 replaces the rows.
        where: bool `[B]`, the examples that count. None means all.

    Returns:
        `[n, d]` in the type of the bank.

    Raises:
        ValueError: shapes do not fit.

    >>> import jax.numpy as jnp
    >>> bank = jnp.eye(3, 2)
    >>> print(update_bank(bank, jnp.array([0]), jnp.array([[0.0, 1.0]])).round(4))
    [[0.7071 0.7071]
     [0.     1.    ]
     [0.     0.    ]]

    Source: CRCKD (Xing et al., MICCAI 2021), after Wu et al., CVPR 2018.
    """
    fits = bank.ndim == rows.ndim == 2 and bank.shape[1] == rows.shape[1]
    if not fits or index.shape != rows.shape[:1]:
        raise ValueError(
            f"bank, index and rows have shapes {bank.shape}, {index.shape} and "
            f"{rows.shape}; expected [n, d], [B] and [B, d]"
        )
    mask = point_mask(where, "rows", rows)
    # Scattering twice to one place would leave the choice to the device.
    later = jnp.triu(jnp.ones((len(index),) * 2, bool), 1)
    again = jnp.any((index[:, None] == index[None, :]) & later & mask[None, :], axis=1)
    place = jnp.where(mask & ~again, index, len(bank))
    old = bank.astype(jnp.float32)[jnp.where(mask, index, 0)]
    new = momentum * old + (1.0 - momentum) * rows.astype(jnp.float32)
    new = unit(new, mask).astype(bank.dtype)
    return jax.lax.stop_gradient(bank.at[place].set(new, mode="drop"))

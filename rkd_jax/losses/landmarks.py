"""Landmark losses: masked mean squared error, its distilled form, soft-argmax."""

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import broadcast_mask, check_positive, check_same_shape

Array = jax.Array


def landmark_mse(
    pred: Array,
    target: Array,
    *,
    where: Array | None = None,
    per_example: bool = False,
) -> Array:
    """Average the squared difference of landmarks or of landmark heatmaps.

    L = sum_valid (pred - target)^2 / #valid entries.

    Args:
        pred: `[B, ...]`: coordinates `[B, L, 2]` in any one unit, or heatmaps
            `[B, H, W, L]`, any float type.
        target: same shape.
        where: mask of the entries that count, same rank with sides equal or 1, such
            as `[B, L, 1]` for visible points. Entries outside may hold anything. None
            counts all. An empty mask gives 0 with zero gradient.
        per_example: True averages over each example: `[B]`.

    Returns:
        float32 scalar, or `[B]` with `per_example`; in the unit squared.

    Raises:
        ValueError: shapes differ, or the mask does not fit.

    >>> import jax.numpy as jnp
    >>> float(landmark_mse(jnp.zeros((1, 3, 2)), jnp.full((1, 3, 2), 2.0)))
    4.0

    Source: RKD (Nasser et al., WACV 2024), face experiment; the mask is ours.
    """
    check_same_shape("pred", pred, "target", target)
    mask = broadcast_mask(where, "pred", pred)
    difference = pred.astype(jnp.float32) - target.astype(jnp.float32)
    difference = jnp.where(mask, difference, 0.0)
    axes = tuple(range(1, pred.ndim)) if per_example else None
    count = jnp.sum(mask, axis=axes, dtype=jnp.float32)
    return jnp.sum(difference * difference, axis=axes) / jnp.maximum(count, 1.0)


def distilled_landmark_mse(
    pred: Array,
    target: Array,
    teacher: Array,
    *,
    weight: float | Array = 1.0,
    where: Array | None = None,
    per_example: bool = False,
) -> Array:
    """Add the distance to a frozen teacher to the landmark error.

    L = mse(pred, target) + weight mse(pred, teacher); no gradient to the teacher.

    Args:
        pred: `[B, ...]` of the student, coordinates or heatmaps as in `landmark_mse`.
        target: same shape, labels.
        teacher: same shape, the teacher's output.
        weight: the poster's lambda (no value is given there).
        where: mask of the entries that count, for both terms.
        per_example: True averages over each example: `[B]`.

    Returns:
        float32 scalar, or `[B]` with `per_example`.

    Raises:
        ValueError: shapes differ, or the mask does not fit.

    >>> import jax.numpy as jnp
    >>> zero, one = jnp.zeros((1, 3, 2)), jnp.ones((1, 3, 2))
    >>> float(distilled_landmark_mse(zero, one, 2.0 * one, weight=0.5))
    3.0

    Source: RKD (Nasser et al., WACV 2024), face experiment.
    """
    check_same_shape("pred", pred, "teacher", teacher)
    labeled = landmark_mse(pred, target, where=where, per_example=per_example)
    distilled = landmark_mse(
        pred, jax.lax.stop_gradient(teacher), where=where, per_example=per_example
    )
    return labeled + weight * distilled


def soft_argmax(
    maps: Array, *, normalize: str = "softmax", temperature: float | Array = 1.0
) -> Array:
    """Read a point from each map as its centre of mass, differentiably.

    (x, y) = sum over pixels of w (x, y), where w is the softmax of `maps / temperature`
    or, for heatmaps, `maps / sum(maps)`. A flat map gives the centre of the image.

    Args:
        maps: `[..., H, W]`, any float type: logits for "softmax"; heatmaps of at least
            0 for "sum" (an all-zero map counts as flat).
        normalize: "softmax" or "sum".
        temperature: divides the logits; positive. Unused by "sum".

    Returns:
        float32 `[..., 2]` as (x, y) in pixels, centre of the top-left pixel at (0, 0).

    Raises:
        ValueError: fewer than two dimensions, an unknown `normalize`, or a temperature
            that is not positive.

    >>> import jax.numpy as jnp
    >>> logits = jnp.zeros((5, 7)).at[2, 6].set(50.0)
    >>> soft_argmax(logits).tolist()
    [6.0, 2.0]

    Source: integral regression (Sun et al. 2018).
    """
    if maps.ndim < 2:
        raise ValueError(f"maps have shape {maps.shape}; expected [..., H, W]")
    *leading, height, width = maps.shape
    flat = maps.astype(jnp.float32).reshape(*leading, height * width)
    if normalize == "softmax":
        check_positive("temperature", temperature)
        weights = jax.nn.softmax(flat / temperature, axis=-1)
    elif normalize == "sum":
        total = jnp.sum(flat, axis=-1, keepdims=True)
        filled = total > 0
        flat = jnp.where(filled, flat, 1.0)
        weights = flat / jnp.where(filled, total, 1.0 * height * width)
    else:
        raise ValueError(f"normalize is {normalize!r}; expected 'softmax' or 'sum'")
    weights = weights.reshape(*leading, height, width)
    columns = jnp.arange(width, dtype=jnp.float32)
    rows = jnp.arange(height, dtype=jnp.float32)
    exact = jax.lax.Precision.HIGHEST
    x = jnp.matmul(jnp.sum(weights, axis=-2), columns, precision=exact)
    y = jnp.matmul(jnp.sum(weights, axis=-1), rows, precision=exact)
    return jnp.stack([x, y], axis=-1)

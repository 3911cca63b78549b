"""Weights of pixels or patches that make up for a rare class."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from rkd_jax.losses._masked import broadcast_mask, check_positive

Array = jax.Array


def balanced_weights(
    labels: Array,
    *,
    where: Array | None = None,
    largest: float | Array = 100.0,
    total: Callable[[Array], Array] | None = None,
) -> Array:
    """Weight each example by the inverse frequency of its class in the batch.

    Of n examples, n_1 = sum(y) are of the class 1 and n_0 = n - n_1 of the class 0:

        w = y w_1 + (1 - y) w_0,   w_k = min(n / n_k, largest).

    Both classes then have the same weight in a sum, unless one is rarer than 1 in
    `largest`. A weight is at least 1, as n is at least n_k. No gradient passes through
    the weights.

    Args:
        labels: 0 or 1, or between, any shape and type: pixels, or patches.
        where: mask of the examples that count, of the rank of the labels, each side
            equal or 1. Labels outside may hold anything. None counts all.
        largest: limit of a weight, usually far above 1; also the weight of a class
            that the batch does not have.
        total: applied to each count before the quotient is taken, for example the sum
            over the devices that share a batch. None leaves the counts as they are.

    Returns:
        float32, shape of the labels; 0 outside of the mask.

    Raises:
        ValueError: the mask does not fit, or the limit is not positive.

    >>> import jax.numpy as jnp, optax
    >>> labels = jnp.array([0.0, 0.0, 0.0, 0.0, 1.0])
    >>> weights = balanced_weights(labels)
    >>> weights.tolist()
    [1.25, 1.25, 1.25, 1.25, 5.0]
    >>> each = optax.sigmoid_binary_cross_entropy(jnp.zeros(5), labels)
    >>> round(float(jnp.sum(weights * each) / jnp.sum(weights)), 4)  # log 2
    0.6931

    Source: Sarhan et al., MICCAI 2019, weighted cross-entropy against imbalance; the
    numbers are missing in our copy of the text, so form and limit are ours.
    """
    check_positive("largest", largest)
    labels = jnp.asarray(labels)
    mask = broadcast_mask(where, "labels", labels)
    ones = jnp.where(mask, labels.astype(jnp.float32), 0.0)
    ones = jax.lax.stop_gradient(ones)
    zeros = mask.astype(jnp.float32) - ones
    counts = [jnp.sum(ones), jnp.sum(zeros)]
    if total is not None:
        counts = [total(count) for count in counts]
    whole = counts[0] + counts[1]

    def weight(count: Array) -> Array:
        # As a product: a class without examples has no quotient.
        few = count * largest <= whole
        return jnp.where(few, largest, whole / jnp.where(few, 1.0, count))

    return ones * weight(counts[0]) + zeros * weight(counts[1])

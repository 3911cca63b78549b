"""Weights against imbalance: PyTorch's values, limits, masks, devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rkd_jax.losses import balanced_weights

LABELS = (np.random.default_rng(0).random((4, 6, 5)) < 0.2).astype(np.float32)


def test_both_classes_weigh_the_same(maybe_jit):
    weights = maybe_jit(balanced_weights)(LABELS)
    assert weights.dtype == jnp.float32
    sums = [float(weights[k == LABELS].sum()) for k in (0, 1)]
    np.testing.assert_allclose(sums, LABELS.size, rtol=1e-5)
    shares = [(k == LABELS).mean() for k in (0, 1)]
    for k, share in enumerate(shares):
        np.testing.assert_allclose(weights[k == LABELS], 1 / share, rtol=1e-6)
    assert weights.min() >= 1


@pytest.mark.parametrize("kind", [bool, np.int32, jnp.bfloat16])
def test_labels_of_any_type(kind):
    labels = jnp.asarray(LABELS).astype(kind)
    np.testing.assert_array_equal(balanced_weights(labels), balanced_weights(LABELS))


def test_weighted_cross_entropy_of_pytorch():
    """`binary_cross_entropy_with_logits(x, y, weight=w)` of torch 2.13, frozen.

    There w = (30 / 5)^y (30 / 25)^(1 - y), in float64.
    """
    x = np.sin(np.arange(30.0)).astype(np.float32) * 3
    y = (np.arange(30) % 6 == 0).astype(np.float32)

    def loss(x):
        each = optax.sigmoid_binary_cross_entropy(x, y)
        return jnp.mean(balanced_weights(y) * each)

    value, gradient = jax.value_and_grad(loss)(x)
    np.testing.assert_allclose(value, 3.14536443, rtol=1e-6)
    expected = [-0.1, 0.03703343, 0.03754610, 0.02417148, 0.00374415, 0.00213255]
    np.testing.assert_allclose(gradient[:7], [*expected, -0.13961916], rtol=1e-5)


def test_rare_and_absent_classes_have_the_largest_weight():
    rare = jnp.zeros(1000).at[3].set(1.0)
    weights = balanced_weights(rare)
    assert float(weights[3]) == 100
    np.testing.assert_allclose(weights[0], 1000 / 999, rtol=1e-6)
    assert float(balanced_weights(rare, largest=7.0)[3]) == 7
    assert balanced_weights(jnp.zeros(5)).tolist() == [1] * 5
    assert balanced_weights(jnp.ones(5)).tolist() == [1] * 5
    # At the limit both forms of the weight agree.
    exact = balanced_weights(jnp.zeros(100).at[0].set(1.0))
    np.testing.assert_allclose(exact[0], 100, rtol=1e-6)


def test_labels_between_the_classes_count_in_part():
    labels = jnp.array([0.0, 0.25, 0.75, 1.0])
    np.testing.assert_allclose(balanced_weights(labels), 2.0, rtol=1e-6)
    labels = jnp.array([0.0, 0.0, 0.0, 0.5])
    expected = [8 / 7] * 3 + [0.5 * 8 + 0.5 * 8 / 7]
    np.testing.assert_allclose(balanced_weights(labels), expected, rtol=1e-6)


def test_what_is_masked_changes_nothing():
    mask = np.random.default_rng(1).random(LABELS.shape) < 0.5
    dirty = np.where(mask, LABELS, np.nan)
    weights = balanced_weights(dirty, where=mask)
    wanted = balanced_weights(LABELS[mask])
    np.testing.assert_allclose(weights[mask], wanted, rtol=1e-6)
    np.testing.assert_array_equal(weights[~mask], 0)
    empty = balanced_weights(dirty, where=np.zeros((4, 1, 1)))
    np.testing.assert_array_equal(empty, 0)


def test_devices_share_their_counts():
    weigh = functools.partial(balanced_weights, total=lambda x: jax.lax.psum(x, "data"))
    for count in (1, 2, 4):
        parts = LABELS.reshape(count, -1, 6, 5)
        weights = jax.pmap(weigh, "data", devices=jax.devices()[:count])(parts)
        np.testing.assert_allclose(
            np.asarray(weights).reshape(LABELS.shape),
            balanced_weights(LABELS),
            rtol=1e-6,
        )


def test_no_gradient_passes_through_the_weights():
    labels = jnp.array([0.1, 0.9, 0.4])
    gradient = jax.grad(lambda y: balanced_weights(y).sum())(labels)
    np.testing.assert_array_equal(gradient, 0)


def test_errors():
    with pytest.raises(ValueError, match=r"where has shape \(3,\) but labels .*\(4,\)"):
        balanced_weights(jnp.zeros(4), where=jnp.ones(3))
    with pytest.raises(ValueError, match="largest is 0; expected a positive number"):
        balanced_weights(jnp.zeros(4), largest=0)

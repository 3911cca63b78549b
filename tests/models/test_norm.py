"""BatchNorm against closed forms: batch, averages, devices, dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models.norms import BatchNorm

X = np.random.default_rng(0).normal(3, 2, (8, 5, 4, 3)).astype(np.float32)
SCALE, BIAS = np.array([0.5, 1.0, 2.0]), np.array([-1.0, 0.0, 1.0])
MEAN, VAR = np.array([1.0, 2.0, 3.0]), np.array([0.5, 4.0, 9.0])


def variables():
    leaves = {"scale": SCALE, "bias": BIAS}, {"mean": MEAN, "var": VAR}
    params, averages = (
        {"norm": {k: jnp.float32(v) for k, v in group.items()}} for group in leaves
    )
    return {"params": params, "batch_stats": averages}


def normalized(x, mean, var):
    return (np.float64(x) - mean) / np.sqrt(var + 1e-5) * SCALE + BIAS


def test_averages_are_used_outside_training_and_stay(maybe_jit):
    fn = maybe_jit(
        lambda v, x: BatchNorm().apply(v, x, train=False, mutable="batch_stats")
    )
    found, kept = fn(variables(), X)
    np.testing.assert_allclose(found, normalized(X, MEAN, VAR), atol=1e-5)
    before = variables()["batch_stats"]
    jax.tree.map(np.testing.assert_array_equal, kept["batch_stats"], before)


def test_the_batch_is_used_in_training(maybe_jit):
    fn = maybe_jit(
        lambda v, x: BatchNorm().apply(v, x, train=True, mutable="batch_stats")
    )
    found, _ = fn(variables(), X)
    expected = normalized(X, X.mean((0, 1, 2)), X.var((0, 1, 2)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
def test_after_n_steps_an_average_kept_momentum_to_the_n(momentum):
    module, ours, steps = BatchNorm(momentum=momentum), variables(), 5

    @jax.jit
    def step(v):
        _, moved = module.apply(v, X, train=True, mutable="batch_stats")
        return {**v, **moved}

    for _ in range(steps):
        ours = step(ours)
    found = ours["batch_stats"]["norm"]
    kept = momentum**steps
    mean, var = X.mean((0, 1, 2), np.float64), X.var((0, 1, 2), np.float64)
    np.testing.assert_allclose(found["mean"], kept * MEAN + (1 - kept) * mean, 1e-5)
    np.testing.assert_allclose(found["var"], kept * VAR + (1 - kept) * var, 1e-5)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_devices_normalize_by_what_all_of_them_have(count):
    module = BatchNorm("data")

    def step(v, x):
        return module.apply(v, x, train=True, mutable="batch_stats")

    mapped = jax.pmap(step, "data", in_axes=(None, 0), devices=jax.devices()[:count])
    found, moved = mapped(variables(), X.reshape(count, -1, *X.shape[1:]))
    expected = normalized(X, X.mean((0, 1, 2)), X.var((0, 1, 2)))
    np.testing.assert_allclose(found.reshape(X.shape), expected, atol=1e-5)
    for values in moved["batch_stats"]["norm"]["mean"]:
        np.testing.assert_allclose(
            values, 0.9 * MEAN + 0.1 * X.mean((0, 1, 2)), rtol=1e-5
        )


@pytest.mark.parametrize("train", [False, True])
def test_bfloat16_is_normalized_in_float32(train):
    x = jnp.asarray(X).astype(jnp.bfloat16)

    def run(x):
        return BatchNorm().apply(variables(), x, train=train, mutable="batch_stats")

    found, averages = run(x)
    exact, expected = run(x.astype(jnp.float32))
    assert found.dtype == jnp.bfloat16
    np.testing.assert_array_equal(found, exact.astype(jnp.bfloat16))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(averages))
    jax.tree.map(np.testing.assert_array_equal, averages, expected)


def test_a_constant_batch_has_finite_gradients():
    x = jnp.full((2, 3, 3, 3), 7.0)

    def total(x):
        out, _ = BatchNorm().apply(variables(), x, train=True, mutable="batch_stats")
        return jnp.sum(out * out)

    found, gradient = jax.value_and_grad(total)(x)
    np.testing.assert_allclose(found, 18 * np.sum(BIAS**2), rtol=1e-4)
    assert np.isfinite(gradient).all()

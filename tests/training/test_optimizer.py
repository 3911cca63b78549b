"""Schedules by their formulas, decay by Adam's, and parameters that stay."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rkd_jax.training.optimizer import make_optimizer, make_schedule

START = {"backbone": {"kernel": jnp.array([1.0, -2.0])}, "head": {"bias": jnp.ones(1)}}


def descend(optimizer, steps=4):
    """Return parameters after steps along gradients that depend on them."""

    @jax.jit
    def step(params, opt_state):
        grads = jax.tree.map(lambda x: x**2 + 1.0, params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params, opt_state = START, optimizer.init(START)
    for _ in range(steps):
        params, opt_state = step(params, opt_state)
    return params


def adam(x, rates, *, l2=0.0, decoupled=0.0):
    """Adam in float64, as its paper and AdamW's write it."""
    x, m, v = np.float64(x), 0.0, 0.0
    for t, rate in enumerate(rates, 1):
        gradient = x**2 + 1 + l2 * x
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        move = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        x = x - rate * (move + decoupled * x)
    return x


@pytest.mark.parametrize(
    ("options", "decay"),
    [
        ({}, {}),
        ({"weight_decay": 0.3}, {"decoupled": 0.3}),
        ({"weight_decay": 0.3, "decay_kind": "l2"}, {"l2": 0.3}),
    ],
)
def test_decay(options, decay):
    found = descend(make_optimizer(lr=0.1, steps=4, **options))
    expected = adam([1.0, -2.0], [0.1] * 4, **decay)
    np.testing.assert_allclose(found["backbone"]["kernel"], expected, rtol=1e-5)


def one_cycle(step, steps, lr):
    rise = int(0.3 * steps)
    if step < rise:
        low, high, share = lr / 25, lr, step / rise
    else:
        low, high, share = lr, lr / 25e4, (step - rise) / (steps - rise)
    return high + (low - high) * (1 + math.cos(math.pi * share)) / 2


@pytest.mark.parametrize(
    ("options", "formula"),
    [
        ({"name": "constant"}, lambda n: 0.1),
        ({"name": "cosine"}, lambda n: 0.05 * (1 + math.cos(math.pi * n / 20))),
        ({"name": "onecycle"}, lambda n: one_cycle(n, 20, 0.1)),
        ({"name": "step"}, lambda n: 0.1 if n < 13 else 0.01),
        (
            {"name": "step", "drop_at": (0.25, 0.5), "drop_factor": 0.5},
            lambda n: 0.1 * 0.5 ** ((n >= 5) + (n >= 10)),
        ),
    ],
)
@pytest.mark.parametrize("warmup", [0, 4])
def test_schedules(options, formula, warmup):
    rate = make_schedule(lr=0.1, steps=20 + warmup, warmup_steps=warmup, **options)
    with jax.numpy_dtype_promotion("standard"):  # as in the step
        found = jax.vmap(rate)(jnp.arange(20 + warmup))
    expected = [0.1 * n / warmup for n in range(warmup)]
    expected += [formula(n) for n in range(20)]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-8)


def test_parameters_that_are_not_trained_stay_and_have_no_moments():
    frozen = make_optimizer(
        lr=0.1, steps=4, weight_decay=0.3, clip_norm=0.5, trainable="^head/"
    )
    found = descend(frozen)
    np.testing.assert_array_equal(
        found["backbone"]["kernel"], START["backbone"]["kernel"]
    )
    # The norm that is cut is that of the trained parameters alone.
    alone = make_optimizer(lr=0.1, steps=4, weight_decay=0.3, clip_norm=0.5)
    opt_state, params = alone.init(START["head"]), START["head"]
    for _ in range(4):
        grads = jax.tree.map(lambda x: x**2 + 1.0, params)
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = alone.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(found["head"]["bias"], params["bias"], rtol=1e-6)
    shapes = {np.shape(leaf) for leaf in jax.tree.leaves(frozen.init(START))}
    assert (2,) not in shapes


def test_bad_options_are_named():
    with pytest.raises(ValueError, match="schedule 'linear'; expected one of const"):
        make_optimizer(lr=1.0, steps=1, schedule="linear")
    with pytest.raises(ValueError, match="decay_kind 'L2'"):
        make_optimizer(lr=1.0, steps=1, decay_kind="L2")
    with pytest.raises(ValueError, match=r"drop_at is \(2,\)"):
        make_optimizer(lr=1.0, steps=1, drop_at=(2,))
    with pytest.raises(ValueError, match=r"'\(' is no regular expression"):
        make_optimizer(lr=1.0, steps=1, trainable="(")
    optimizer = make_optimizer(lr=1.0, steps=1, trainable="decoder")
    with pytest.raises(ValueError, match=r"'decoder'.* 2 paths.*backbone/kernel"):
        optimizer.init(START)

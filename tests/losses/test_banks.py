"""Contrast with memory banks: golden values, the formula, masks, updates of banks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.losses import (
    class_anchors,
    class_contrast,
    contrast_normalizer,
    relation_distillation,
    unit,
    update_bank,
)

RNG = np.random.default_rng(2)
U = np.asarray(unit(jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)))
ROWS = np.asarray(unit(jnp.asarray(RNG.normal(size=(21, 4)), jnp.float32)))
ROWS = ROWS.reshape(3, 7, 4)
HOW = {"bank_size": 50, "normalizer": 70.0, "temperature": 0.5}


def formula(scores, positives, n, eps=1e-7):
    """Compute the loss of each example from scores x, as published, in float64."""
    x, k = np.float64(scores), scores.shape[1] - positives
    total = x + k / n + eps
    drawn = np.log(x / total)[:, :positives].mean(1)
    return -drawn - np.log(k / n / total)[:, positives:].sum(1)


def test_golden_value_of_scores():
    x = np.linspace(0.1, 1, 10).reshape(2, 5)
    np.testing.assert_allclose(formula(x, 2, 10).mean(), 4.102776, atol=1e-6)
    found = class_contrast(
        jnp.ones((2, 1)),
        jnp.log(jnp.asarray(x, jnp.float32))[..., None],
        2,
        bank_size=10,
        normalizer=1.0,
        temperature=1.0,
    )
    np.testing.assert_allclose(np.mean(found), 4.102776, atol=2e-6)


def golden():
    """Return what section 12 of the facts begins with: embeddings, banks, rows."""
    i, j = np.mgrid[:3, :4]
    w_s, w_t = (4 * i + j) / 10 - 0.5, (12 - 4 * i - j) / 10 - 0.5
    f_s = np.array([[0.5, 0.1, -0.2, 0.3], [0.2, 0.4, 0.1, -0.6]])
    f_t = np.array([[0.4, 0.2, -0.1, 0.2], [0.1, 0.5, 0.2, -0.5]])
    bank = np.sin(np.arange(30.0)).reshape(10, 3)
    bank /= np.linalg.norm(bank, axis=1, keepdims=True)
    rows = np.array([[3, 1, 4, 5, 6, 7], [7, 5, 0, 1, 2, 8]])
    arrays = (f_s @ w_s.T + 0.1, f_t @ w_t.T - 0.1, bank, np.roll(bank, 1, axis=0))
    u, v, bank_s, bank_t = (jnp.asarray(x, jnp.float32) for x in arrays)
    return unit(u), unit(v), bank_s, bank_t, rows


def test_golden_values_of_a_step():
    u, v, bank_s, bank_t, rows = golden()

    def step(u, v, bank_s, bank_t):
        contrast, constants = 0.0, []
        for embeddings, bank in ((u, bank_t), (v, bank_s)):
            z = contrast_normalizer(embeddings, bank[rows], 10)
            contrast += class_contrast(
                embeddings,
                bank[rows],
                2,
                bank_size=10,
                normalizer=z,
                reduction="mean",
            )
            constants.append(z)
        index = jnp.array([3, 7])
        bank_s, bank_t = update_bank(bank_s, index, u), update_bank(bank_t, index, v)
        # The fifth class has the rows of two others again.
        labels = jnp.repeat(jnp.arange(4), np.array([4, 4, 1, 1]))
        again = (jnp.arange(10) < 8).astype(jnp.int32)
        anchors = [
            jnp.concatenate([class_anchors(b, labels, 4), class_anchors(b, again, 1)])
            for b in (bank_s, bank_t)
        ]
        relation = relation_distillation(u, v, *anchors, reduction="mean")
        return contrast, relation, jnp.stack(constants), bank_s

    contrast, relation, constants, bank = jax.jit(step)(u, v, bank_s, bank_t)
    np.testing.assert_allclose(contrast, 9.366827, rtol=2e-6)
    np.testing.assert_allclose(relation, 0.2005416, rtol=1e-5)
    np.testing.assert_allclose(constants, [2566224.5, 1442502.6], rtol=1e-5)
    np.testing.assert_allclose(bank[3], [-0.401727, -0.900832, 0.164675], atol=2e-6)
    changed = np.any(np.asarray(bank) != np.asarray(bank_s), axis=1)
    assert np.flatnonzero(changed).tolist() == [3, 7]


@pytest.mark.parametrize("positives", [1, 3, 6])
def test_contrast_by_the_formula(positives):
    fn = functools.partial(class_contrast, positives=positives, **HOW)
    scores = np.exp(np.einsum("bd,brd->br", U, ROWS) / 0.5) / 70
    found, vjp = jax.vjp(jax.jit(lambda u: fn(u, ROWS)), U)
    np.testing.assert_allclose(found, formula(scores, positives, 50), rtol=1e-5)
    # d l / d u = sum_r (d l / d log x_r) row_r / T.
    c = (7 - positives) / 50
    kept = scores / (scores + c + 1e-7)
    slope = np.where(np.arange(7) < positives, (kept - 1) / positives, kept)
    expected = np.einsum("br,brd->bd", slope, ROWS) / 0.5
    np.testing.assert_allclose(vjp(jnp.ones(3))[0], expected, atol=1e-5)


def test_rows_and_the_normalizer_are_constants():
    def total(rows, z):
        z = z * contrast_normalizer(U, rows, 50)
        return class_contrast(U, rows, 3, bank_size=50, normalizer=z).sum()

    for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(ROWS, 1.0):
        np.testing.assert_array_equal(gradient, 0)


def test_masked_rows_change_nothing():
    """An example with fewer rows of both kinds, and one with none."""
    keep = np.ones((3, 7), bool)
    keep[0, [1, 2, 6]] = keep[2] = False
    dirty = jnp.where(keep[..., None], ROWS, jnp.nan)
    embeddings = jnp.asarray(U).at[2].set(jnp.nan)

    def mean(u, rows, where):
        return class_contrast(u, rows, 3, **HOW, where=where, reduction="mean")

    fn = jax.jit(jax.value_and_grad(mean))
    value, gradient = fn(embeddings, dirty, keep)
    few = class_contrast(U[:1], ROWS[:1, [0, 3, 4, 5]], 1, **HOW)
    whole = class_contrast(U[1:2], ROWS[1:2], 3, **HOW)
    np.testing.assert_allclose(value, (few[0] + whole[0]) / 2, rtol=1e-5)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[2], 0)
    value, gradient = fn(embeddings, dirty, np.zeros((3, 1), bool))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)

    scores = np.exp(np.einsum("bd,brd->br", U, ROWS) / 0.07)
    z = contrast_normalizer(embeddings, dirty, 50, where=keep)
    np.testing.assert_allclose(z, 50 * scores[keep].mean(), rtol=1e-4)


def test_a_strict_temperature_does_not_overflow():
    how = {"bank_size": 50, "normalizer": 70.0, "temperature": 0.002}
    value, gradient = jax.value_and_grad(
        lambda u: class_contrast(u, ROWS, 3, **how).sum()
    )(jnp.asarray(ROWS[:, 5]))
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    zero = jax.grad(lambda u: class_contrast(u, 0 * ROWS, 3, **HOW).sum())(0 * U)
    np.testing.assert_array_equal(zero, 0)


def test_devices_share_the_normalizer():
    """Parts of a batch, mapped over an axis, have the constant of the whole."""
    share = functools.partial(
        contrast_normalizer, bank_size=50, total=lambda x: jax.lax.psum(x, "data")
    )
    found = jax.vmap(share, axis_name="data")(U[:, None], ROWS[:, None])
    np.testing.assert_allclose(found, contrast_normalizer(U, ROWS, 50), rtol=1e-5)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_rows_of_a_batch_move_and_the_last_of_equal_ones_counts(momentum):
    bank, new = ROWS[0], ROWS[1, :5]
    index = np.array([4, 1, 4, 6, 1])
    where = np.array([True, True, True, False, False])
    dirty = jnp.where(where[:, None], new, jnp.nan)
    fn = jax.jit(update_bank)
    found = fn(bank, np.where(where, index, 1), dirty, momentum, where=where)
    expected = np.float64(bank)
    for place, row in ((4, 2), (1, 1)):
        moved = momentum * expected[place] + (1 - momentum) * new[row]
        expected[place] = moved / np.linalg.norm(moved)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    untouched = [0, 2, 3, 5, 6]
    np.testing.assert_array_equal(found[np.array(untouched)], bank[untouched])


def test_a_bank_is_a_constant():
    def total(bank, rows):
        return update_bank(bank, jnp.array([0, 2, 1]), rows).sum()

    for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(ROWS[0], U):
        np.testing.assert_array_equal(gradient, 0)
    opposite = update_bank(jnp.ones((1, 3)), jnp.array([0]), -jnp.ones((1, 3)))
    np.testing.assert_array_equal(opposite, 0)


def test_errors():
    with pytest.raises(ValueError, match=r"embeddings have shape \(2, 4\) and rows"):
        class_contrast(U[:2], ROWS, 3, **HOW)
    with pytest.raises(ValueError, match=r"positives is 8; expected 1..7"):
        class_contrast(U, ROWS, 8, **HOW)
    with pytest.raises(ValueError, match=r"normalizer is 0\.0; expected a positive"):
        class_contrast(U, ROWS, 3, bank_size=50, normalizer=0.0)
    with pytest.raises(ValueError, match="temperature is 0"):
        contrast_normalizer(U, ROWS, 50, temperature=0)
    with pytest.raises(ValueError, match=r"where has shape \(3,\)"):
        class_contrast(U, ROWS, 3, **HOW, where=jnp.ones(3))
    with pytest.raises(ValueError, match=r"shapes \(7, 4\), \(2,\) and \(3, 4\)"):
        update_bank(ROWS[0], jnp.array([0, 1]), U)

"""Predictions of classes: golden values, SciPy, masks, edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from rkd_jax.losses import class_cross_entropy, prediction_distillation, ramp

STUDENT = np.array([[1, 2, 3, 0, -1], [0, 0.5, 0, 1, 2]], np.float32)
TEACHER = np.array([[1.5, 1, 3.5, 0, -2], [0, 1, 0.3, 0, 2.5]], np.float32)
APTOS = 3662 / np.array([1805, 370, 999, 193, 295])
A, B = np.random.default_rng(0).normal(0, 2, (2, 6, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 1, 2, 3], np.int32)
MASK = jnp.array([True, False, True, True, False, True])


def test_golden_values():
    kl = prediction_distillation(STUDENT, TEACHER)
    np.testing.assert_allclose(np.mean(kl), 0.1024911, atol=1e-6)
    ce = class_cross_entropy(
        STUDENT, jnp.array([2, 4]), class_weights=APTOS, reduction="mean"
    )
    np.testing.assert_allclose(ce, 0.5828228, atol=1e-6)
    epochs = jnp.array([0, 10, 15, 20, 25, 30])
    expected = [0.0067, 0.1084, 0.2865, 0.5738, 0.8703, 1]
    np.testing.assert_allclose(ramp(epochs, 30), expected, atol=5e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_divergence_of_scipy(temperature):
    found = prediction_distillation(A, B, temperature=temperature)
    p, q = (softmax(np.float64(x) / temperature, axis=1) for x in (B, A))
    np.testing.assert_allclose(found, rel_entr(p, q).sum(1), rtol=1e-5)
    assert found.dtype == jnp.float32


def test_the_student_learns_from_the_teacher_alone():
    """The gradient of the divergence is (q - p) / T."""

    def total(student, teacher):
        return prediction_distillation(student, teacher, temperature=2.0).sum()

    to_student, to_teacher = jax.jit(jax.grad(total, argnums=(0, 1)))(A, B)
    np.testing.assert_array_equal(to_teacher, 0)
    expected = (softmax(A / 2, axis=1) - softmax(B / 2, axis=1)) / 2
    np.testing.assert_allclose(to_student, expected, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_masked_examples_change_nothing(reduction):
    dirty, teacher = (jnp.where(MASK[:, None], x, jnp.nan) for x in (A, B))
    labels = jnp.where(MASK, LABELS, 99)
    weights = jnp.array([1.0, 2.0, 5.0, 0.5])

    def both(a, b, labels, where):
        kl = prediction_distillation(a, b, where=where, reduction=reduction)
        ce = class_cross_entropy(
            a, labels, class_weights=weights, where=where, reduction=reduction
        )
        return kl + 3 * ce

    fn = jax.jit(jax.value_and_grad(both))
    value, gradient = fn(dirty, teacher, labels, MASK)
    kept = np.flatnonzero(MASK)
    wanted, expected = jax.value_and_grad(both)(A[kept], B[kept], LABELS[kept], None)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(gradient[kept], expected, atol=1e-6)
    np.testing.assert_array_equal(gradient[~np.asarray(MASK)], 0)
    nothing, gradient = fn(dirty, teacher, labels, jnp.zeros(6, bool))
    assert nothing == 0
    np.testing.assert_array_equal(gradient, 0)


def test_weighted_mean_of_the_definition():
    weights = np.array([1, 2, 0, 0.5], np.float32)
    each = class_cross_entropy(A, LABELS, class_weights=weights)
    logs = log_softmax(np.float64(A), axis=1)[np.arange(6), LABELS]
    np.testing.assert_allclose(each, -weights[LABELS] * logs, rtol=1e-5)
    mean = class_cross_entropy(A, LABELS, class_weights=weights, reduction="mean")
    shares = weights[LABELS] / weights[LABELS].sum()
    np.testing.assert_allclose(mean, -(shares * logs).sum(), rtol=1e-5)
    plain = class_cross_entropy(A, LABELS, reduction="mean")
    np.testing.assert_allclose(plain, -logs.mean(), rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e4, 1e30])
def test_gradients_are_finite_at_zeros_and_far_away(size):
    a = jnp.array([[size, -size, 0.0], [0.0, size, size]])

    def total(student):
        kl = prediction_distillation(student, -a)
        return (kl + class_cross_entropy(student, jnp.array([1, 0]))).sum()

    value, gradient = jax.value_and_grad(total)(a)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_ramp_rises_and_stays():
    values = np.asarray(ramp(jnp.linspace(0, 12, 25), 10))
    assert (np.diff(values)[:20] > 0).all()
    np.testing.assert_array_equal(values[20:], 1)
    assert ramp(0, 0) == 1
    assert np.isfinite(jax.grad(lambda length: ramp(0.0, length))(0.0))


def test_errors():
    with pytest.raises(ValueError, match=r"student_logits .*\(6, 4\).*\(2, 5\)"):
        prediction_distillation(A, TEACHER)
    with pytest.raises(ValueError, match=r"student_logits have shape \(4,\); .*\[B, C"):
        prediction_distillation(A[0], B[0])
    with pytest.raises(ValueError, match="temperature is 0"):
        prediction_distillation(A, B, temperature=0)
    with pytest.raises(ValueError, match=r"where has shape \(3,\)"):
        prediction_distillation(A, B, where=jnp.ones(3))
    with pytest.raises(
        ValueError, match=r"labels have shape \(2,\) but logits .*\(6, 4"
    ):
        class_cross_entropy(A, LABELS[:2])
    with pytest.raises(
        ValueError, match=r"class_weights have shape \(5,\).*expected \(4,"
    ):
        class_cross_entropy(A, LABELS, class_weights=APTOS)
    with pytest.raises(ValueError, match=r"'average'.*none, mean, sum"):
        class_cross_entropy(A, LABELS, reduction="average")

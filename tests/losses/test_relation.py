"""Relations to class anchors: golden values, NumPy, masks, edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from rkd_jax.losses import class_anchors, relation_distillation

STUDENT = np.array([[1, 2, 0.5], [0.2, -1, 1]], np.float32)
TEACHER = np.array([[0.8, 1.8, 0.7], [0.1, -0.6, 1.3]], np.float32)
ANCHORS_S = np.array([[1, 0.2, 0.1], [0.1, 0.9, 0.3], [0.3, 0, 1]], np.float32)
ANCHORS_T = np.array([[0.9, 0.3, 0], [0, 1, 0.2], [0.2, 0.1, 0.8]], np.float32)
RNG = np.random.default_rng(1)


def unit(rows):
    rows = np.float64(rows)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_golden_value():
    found = relation_distillation(STUDENT, TEACHER, ANCHORS_S, ANCHORS_T)
    np.testing.assert_allclose(np.mean(found), 0.00543807, atol=2e-7)


def test_the_two_sides_may_have_different_widths():
    u, v = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 7))
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 7))
    operands = [x.astype(np.float32) for x in (u, v, a, b)]
    found = relation_distillation(*operands, temperature=0.2)
    q, p = (softmax(unit(x) @ unit(y).T / 0.2, axis=1) for x, y in ((u, a), (v, b)))
    np.testing.assert_allclose(found, rel_entr(p, q).sum(1), rtol=1e-4)


def test_only_the_student_learns():
    fn = jax.grad(lambda *x: relation_distillation(*x).sum(), argnums=(0, 1, 2, 3))
    student, *others = jax.jit(fn)(STUDENT, TEACHER, ANCHORS_S, ANCHORS_T)
    assert np.abs(student).max() > 1e-3
    for gradient in others:
        np.testing.assert_array_equal(gradient, 0)


def test_what_is_masked_changes_nothing():
    """Anchors by the mask or because they are zero, and whole examples."""
    nan = np.full((1, 3), np.nan, np.float32)
    zero, extra = np.zeros_like(nan), np.ones_like(nan)
    student, teacher = (np.concatenate([nan, x]) for x in (STUDENT, TEACHER))
    ours = np.concatenate([ANCHORS_S, nan, zero, extra])
    theirs = np.concatenate([ANCHORS_T, nan, extra, zero])
    where, examples = np.arange(6) != 3, np.arange(3) > 0

    def mean(student, *others, **masks):
        return relation_distillation(student, *others, **masks, reduction="mean")

    fn = jax.jit(jax.value_and_grad(mean))
    value, gradient = fn(student, teacher, ours, theirs, where=where, examples=examples)
    wanted, expected = fn(STUDENT, TEACHER, ANCHORS_S, ANCHORS_T)
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    np.testing.assert_allclose(gradient[1:], expected, atol=1e-6)
    np.testing.assert_array_equal(gradient[0], 0)
    none = {"where": np.zeros(6, bool), "examples": examples}
    value, gradient = fn(student, teacher, ours, theirs, **none)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


def test_zero_vectors_have_zero_gradients():
    zeros = jnp.zeros((2, 3))

    def total(student, *anchors):
        return relation_distillation(student, TEACHER, *anchors).sum()

    for anchors in ((ANCHORS_S, ANCHORS_T), (zeros, zeros)):
        value, gradient = jax.jit(jax.value_and_grad(total))(zeros, *anchors)
        assert np.isfinite(value)
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("relu", [True, False])
def test_anchors_are_the_directions_of_the_means(relu):
    bank = RNG.normal(size=(9, 4)).astype(np.float32)
    labels = np.array([2, 0, 2, 4, -1, 0, 7, 2, 0])
    dirty = np.where(np.isin(labels, [-1, 7])[:, None], np.nan, bank)
    fn = jax.jit(class_anchors, static_argnames=("classes", "relu"))
    found = fn(dirty, labels, classes=5, relu=relu)
    for number in range(5):
        rows = np.float64(bank[labels == number])
        rows = np.maximum(rows, 0) if relu else rows
        expected = unit(rows.mean(0)) if len(rows) else np.zeros(4)
        np.testing.assert_allclose(found[number], expected, atol=1e-6)


def test_anchors_are_constants():
    gradient = jax.grad(lambda x: class_anchors(x, jnp.array([0, 1]), 2).sum())(STUDENT)
    np.testing.assert_array_equal(gradient, 0)


def test_errors():
    a = jnp.ones((4, 3))
    with pytest.raises(
        ValueError, match=r"teacher has shape \(4, 3\) and anchors_teach"
    ):
        relation_distillation(a, a, a, jnp.ones((4, 2)))
    with pytest.raises(ValueError, match="have 4 and 2 rows, their anchors 4 and 4;"):
        relation_distillation(a, a[:2], a, a)
    with pytest.raises(ValueError, match="temperature is -1"):
        relation_distillation(a, a, a, a, temperature=-1)
    with pytest.raises(ValueError, match=r"where has shape \(3,\)"):
        relation_distillation(a, a, a, a, where=jnp.ones(3))
    with pytest.raises(
        ValueError, match=r"bank has shape \(4, 3\) and labels .*\(3,\)"
    ):
        class_anchors(a, jnp.zeros(3, jnp.int32), 2)

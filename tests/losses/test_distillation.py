import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.losses import (
    descriptor_distillation,
    dice_loss,
    heatmap_distillation,
    triplet_loss,
)

RNG = np.random.default_rng(2)
KEY = jax.random.key(0)


def test_heatmap_term_is_masked_dice_and_spares_the_teacher():
    teacher, student = jnp.asarray(RNG.random((2, 2, 6, 5), dtype=np.float32))
    mask = jnp.asarray(RNG.random((2, 6, 5)) < 0.7)

    def loss(t, s):
        return heatmap_distillation(t, s, where=mask)

    np.testing.assert_allclose(
        loss(teacher, student), dice_loss(student, teacher, where=mask), rtol=1e-6
    )
    to_teacher, to_student = jax.jit(jax.grad(loss, argnums=(0, 1)))(teacher, student)
    np.testing.assert_array_equal(to_teacher, 0.0)
    expected = jax.grad(lambda s: dice_loss(s, teacher, where=mask))(student)
    np.testing.assert_allclose(to_student, expected, atol=1e-7)
    assert heatmap_distillation(teacher, student, per_example=True).shape == (2,)


def test_descriptor_term_anchors_at_the_teacher_and_spares_it():
    teacher, student = jnp.asarray(RNG.normal(size=(2, 8, 6)).astype(np.float32))
    mask = jnp.arange(8) < 6

    def loss(t, s):
        return descriptor_distillation(t, s, KEY, where=mask, reduction="mean")

    value, (to_teacher, to_student) = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(
        teacher, student
    )
    expected = triplet_loss(teacher, student, KEY, where=mask, reduction="mean")
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_array_equal(to_teacher, 0.0)
    assert np.abs(to_student[:6]).max() > 0
    np.testing.assert_array_equal(to_student[6:], 0.0)


def test_gradient_descent_on_it_brings_the_student_to_the_teacher():
    teacher, student = jnp.asarray(RNG.normal(size=(2, 8, 16)).astype(np.float32))
    gradient = jax.jit(
        jax.grad(lambda s, k: descriptor_distillation(teacher, s, k, reduction="mean"))
    )

    def right(s):
        similarity = (teacher @ s.T) / jnp.linalg.norm(s, axis=1)[None, :]
        return int((similarity.argmax(axis=1) == jnp.arange(8)).sum())

    before = right(student)
    for step in range(100):
        student = student - 2.0 * gradient(student, jax.random.fold_in(KEY, step))
    assert before < 8
    assert right(student) == 8


def test_shape_errors_name_both_shapes():
    with pytest.raises(ValueError, match=r"teacher.*\(1, 4, 4\).*student.*\(1, 4, 5\)"):
        heatmap_distillation(jnp.ones((1, 4, 4)), jnp.ones((1, 4, 5)))
    with pytest.raises(ValueError, match=r"teacher_desc.*\(4, 3\).*\(5, 3\)"):
        descriptor_distillation(jnp.ones((4, 3)), jnp.ones((5, 3)), KEY)

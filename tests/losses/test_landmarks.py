import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.losses import distilled_landmark_mse, landmark_mse, soft_argmax

RNG = np.random.default_rng(3)


def slow_mse(pred, target, mask):
    squares = [
        (float(p) - float(t)) ** 2
        for p, t, m in zip(pred.ravel(), target.ravel(), mask.ravel())
        if m
    ]
    return sum(squares) / len(squares)


def test_mse_matches_the_loop_with_a_mask_of_points(maybe_jit):
    pred, target = RNG.normal(size=(2, 3, 5, 2)).astype(np.float32)
    visible = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]], dtype=bool)
    full = np.broadcast_to(visible[..., None], pred.shape)
    fn = maybe_jit(lambda p, t, m: landmark_mse(p, t, where=m))
    out = fn(pred, target, visible[..., None])
    np.testing.assert_allclose(out, slow_mse(pred, target, full), rtol=1e-5)
    each = landmark_mse(
        jnp.asarray(pred), jnp.asarray(target), where=full, per_example=True
    )
    expected = [slow_mse(*row) for row in zip(pred, target, full)]
    np.testing.assert_allclose(each, expected, rtol=1e-5)


def test_masked_entries_may_be_nan_and_empty_mask_is_zero():
    pred = jnp.array([[1.0, jnp.nan], [2.0, jnp.nan]])
    target = jnp.zeros((2, 2))
    mask = jnp.array([[True, False]])
    value, grads = jax.value_and_grad(lambda p: landmark_mse(p, target, where=mask))(
        pred
    )
    assert float(value) == 2.5
    np.testing.assert_allclose(grads, [[1.0, 0.0], [2.0, 0.0]])
    value, grads = jax.value_and_grad(
        lambda p: landmark_mse(p, target, where=jnp.zeros((1, 1), dtype=bool))
    )(pred)
    assert float(value) == 0.0
    np.testing.assert_array_equal(grads, 0.0)


def test_distilled_form_adds_the_weighted_teacher_and_spares_it():
    pred, target, teacher = jnp.asarray(RNG.normal(size=(3, 2, 4, 2)), jnp.float32)
    out = distilled_landmark_mse(pred, target, teacher, weight=0.25)
    expected = np.mean((pred - target) ** 2) + 0.25 * np.mean((pred - teacher) ** 2)
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    grads = jax.grad(lambda t: distilled_landmark_mse(pred, target, t, weight=1.0))(
        teacher
    )
    np.testing.assert_array_equal(grads, 0.0)
    plain = distilled_landmark_mse(pred, target, teacher, weight=0.0)
    np.testing.assert_allclose(plain, landmark_mse(pred, target), rtol=1e-6)


def test_soft_argmax_matches_the_loop(maybe_jit):
    logits = RNG.normal(size=(2, 3, 6, 9)).astype(np.float32)
    out = maybe_jit(lambda m: soft_argmax(m, temperature=0.5))(logits)
    assert out.shape == (2, 3, 2)
    for b in range(2):
        for c in range(3):
            weights = np.exp(logits[b, c].astype(np.float64) / 0.5)
            weights /= weights.sum()
            rows, columns = np.mgrid[:6, :9]
            expected = [(weights * columns).sum(), (weights * rows).sum()]
            np.testing.assert_allclose(out[b, c], expected, rtol=1e-4)


def test_soft_argmax_of_a_gaussian_is_its_sub_pixel_centre():
    rows, columns = np.mgrid[:32, :40]
    bump = np.exp(-((columns - 20.3) ** 2 + (rows - 14.8) ** 2) / (2 * 2.0**2))
    out = soft_argmax(jnp.asarray(bump, jnp.float32), normalize="sum")
    np.testing.assert_allclose(out, [20.3, 14.8], atol=1e-3)


@pytest.mark.parametrize("normalize", ["sum", "softmax"])
def test_soft_argmax_of_an_empty_map_is_the_centre_with_finite_gradient(normalize):
    out, pull_back = jax.vjp(
        lambda m: soft_argmax(m, normalize=normalize), jnp.zeros((5, 9))
    )
    np.testing.assert_allclose(out, [4.0, 2.0], atol=1e-5)
    (grads,) = pull_back(jnp.ones((2,)))
    assert np.isfinite(grads).all()


def test_soft_argmax_gradient_matches_finite_differences():
    logits = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    chex.assert_numerical_grads(soft_argmax, (logits,), order=1, atol=1e-2, rtol=1e-2)


def test_errors():
    with pytest.raises(ValueError, match=r"\(1, 3, 2\).*\(1, 4, 2\)"):
        landmark_mse(jnp.ones((1, 3, 2)), jnp.ones((1, 4, 2)))
    with pytest.raises(ValueError, match=r"teacher.*\(1, 4, 2\)"):
        distilled_landmark_mse(
            jnp.ones((1, 3, 2)), jnp.ones((1, 3, 2)), jnp.ones((1, 4, 2))
        )
    with pytest.raises(ValueError, match=r"\(5,\).*H, W"):
        soft_argmax(jnp.ones((5,)))
    with pytest.raises(ValueError, match="'max'"):
        soft_argmax(jnp.ones((5, 5)), normalize="max")

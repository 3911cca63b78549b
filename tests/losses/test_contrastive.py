import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.losses import info_nce

RNG = np.random.default_rng(4)


def slow_info_nce(desc0, desc1, mask, xy, radius, temperature):
    desc0 = desc0 / np.linalg.norm(desc0, axis=1, keepdims=True)
    desc1 = desc1 / np.linalg.norm(desc1, axis=1, keepdims=True)
    out = np.zeros(len(desc0))
    for i in np.flatnonzero(mask):
        total0 = total1 = 0.0
        for j in np.flatnonzero(mask):
            if j != i and np.linalg.norm(xy[i] - xy[j]) < radius:
                continue
            total0 += np.exp(desc0[i] @ desc1[j] / temperature)
            total1 += np.exp(desc0[j] @ desc1[i] / temperature)
        own = desc0[i] @ desc1[i] / temperature
        out[i] = 0.5 * (np.log(total0) + np.log(total1)) - own
    return out


@pytest.mark.parametrize("radius", [0.0, 4.0])
def test_matches_the_loop(maybe_jit, radius):
    desc0, desc1 = RNG.normal(size=(2, 9, 6)).astype(np.float32)
    xy = RNG.uniform(0, 12, (9, 2)).astype(np.float32)
    mask = RNG.random(9) < 0.8
    fn = maybe_jit(
        lambda a, b, m, p: info_nce(
            a, b, where=m, xy=p, exclude_radius=radius, temperature=0.2
        )
    )
    expected = slow_info_nce(desc0, desc1, mask, xy, radius, 0.2)
    np.testing.assert_allclose(fn(desc0, desc1, mask, xy), expected, atol=1e-4)


def test_is_symmetric_in_the_images_and_follows_permutations():
    desc0, desc1 = jnp.asarray(RNG.normal(size=(2, 9, 6)), jnp.float32)
    loss = info_nce(desc0, desc1)
    np.testing.assert_allclose(info_nce(desc1, desc0), loss, atol=1e-5)
    order = RNG.permutation(9)
    np.testing.assert_allclose(
        info_nce(desc0[order], desc1[order]), np.asarray(loss)[order], atol=1e-5
    )


def test_masked_rows_change_neither_value_nor_gradient():
    desc0, desc1 = jnp.asarray(RNG.normal(size=(2, 5, 4)), jnp.float32)
    xy = jnp.asarray(RNG.uniform(0, 9, (5, 2)), jnp.float32)
    rows, mask = jnp.array([0, 3, 4, 6, 7]), jnp.zeros((8,), dtype=bool)
    mask = mask.at[rows].set(True)
    nan = jnp.full((8, 4), jnp.nan)

    def loss(a, b, p, m=None):
        return info_nce(a, b, where=m, xy=p, exclude_radius=2.0, reduction="mean")

    fn = jax.jit(jax.value_and_grad(loss))
    value, grads = fn(desc0, desc1, xy)
    wide_value, wide_grads = fn(
        nan.at[rows].set(desc0),
        nan.at[rows].set(desc1),
        nan[:, :2].at[rows].set(xy),
        mask,
    )
    np.testing.assert_allclose(wide_value, value, rtol=1e-6)
    np.testing.assert_allclose(wide_grads[rows], grads, atol=1e-6)
    np.testing.assert_array_equal(wide_grads[~mask], 0.0)


def test_no_negatives_give_zero_and_zero_gradient():
    desc0, desc1 = jnp.asarray(RNG.normal(size=(2, 4, 3)), jnp.float32)
    fn = jax.jit(
        jax.value_and_grad(lambda d, m: info_nce(d, desc1, where=m, reduction="sum"))
    )
    for valid in (0, 1):
        value, grads = fn(desc0, jnp.arange(4) < valid)
        np.testing.assert_allclose(value, 0.0, atol=1e-6)
        np.testing.assert_allclose(grads, 0.0, atol=1e-6)
    empty = jnp.zeros((0, 3))
    assert float(info_nce(empty, empty, reduction="mean")) == 0.0


def test_equal_descriptors_give_log_n_and_finite_gradients():
    fn = jax.jit(jax.value_and_grad(lambda d: info_nce(d, d, reduction="mean")))
    for fill in (0.0, 1.0):
        value, grads = fn(jnp.full((6, 3), fill))
        np.testing.assert_allclose(value, np.log(6), rtol=1e-5)
        assert np.isfinite(grads).all()


def test_gradient_matches_finite_differences_and_vmaps():
    desc = jnp.asarray(RNG.normal(size=(2, 2, 4, 3)), jnp.float32)

    @jax.jit
    def loss(a, b):
        return jax.vmap(lambda x, y: info_nce(x, y, temperature=0.5))(a, b).sum()

    chex.assert_numerical_grads(loss, tuple(desc), order=1, atol=2e-2, rtol=2e-2)
    each = [info_nce(*desc[:, b], temperature=0.5).sum() for b in range(2)]
    np.testing.assert_allclose(loss(*desc), sum(each), rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"desc0.*\(4, 3\).*desc1.*\(5, 3\)"):
        info_nce(jnp.ones((4, 3)), jnp.ones((5, 3)))
    with pytest.raises(ValueError, match="pass xy"):
        info_nce(jnp.ones((4, 3)), jnp.ones((4, 3)), exclude_radius=5.0)
    with pytest.raises(ValueError, match=r"xy.*\(3, 2\).*\(4, 3\)"):
        info_nce(
            jnp.ones((4, 3)), jnp.ones((4, 3)), xy=jnp.ones((3, 2)), exclude_radius=5.0
        )
    with pytest.raises(ValueError, match="temperature is 0"):
        info_nce(jnp.ones((4, 3)), jnp.ones((4, 3)), temperature=0.0)

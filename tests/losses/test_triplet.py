import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rkd_jax.losses import choose_negatives, triplet_loss

RNG = np.random.default_rng(1)
KEY = jax.random.key(3)


def descriptors(points=7, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(2, points, dim)).astype(np.float32))


def units(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slow_hard(anchors, positives, mask):
    anchors, positives = units(anchors), units(positives)
    chosen = []
    for i in range(len(anchors)):
        others = [j for j in range(len(anchors)) if j != i and mask[j]]
        distance = [np.linalg.norm(anchors[i] - positives[j]) for j in others]
        chosen.append(others[int(np.argmin(distance))])
    return np.array(chosen)


def slow_triplet(anchors, positives, hard, random, mask, margin=0.8, gor_weight=1.0):
    anchors, positives = units(anchors), units(positives)
    out = np.zeros(len(anchors))
    for i in np.flatnonzero(mask):
        to_positive = 1 - anchors[i] @ positives[i]
        to_hard = 1 - anchors[i] @ positives[hard[i]]
        to_random = 1 - anchors[i] @ positives[random[i]]
        out[i] = max(0.0, margin + to_positive - (to_hard + to_random) / 2)
        out[i] += gor_weight * ((1 - to_hard) ** 2 + (1 - to_random) ** 2)
    return out


def test_negatives_match_the_loop_and_avoid_self_and_masked(maybe_jit):
    anchors, positives = descriptors()
    mask = np.array([1, 0, 1, 1, 0, 1, 1], dtype=bool)
    fn = maybe_jit(lambda a, p, k, m: choose_negatives(a, p, k, where=m))
    for seed in range(20):
        hard, random = fn(anchors, positives, jax.random.key(seed), mask)
        expected = slow_hard(anchors, positives, mask)
        np.testing.assert_array_equal(hard[mask], expected[mask])
        assert mask[np.asarray(random)[mask]].all()
        assert (np.asarray(random)[mask] != np.flatnonzero(mask)).all()


def test_random_negative_is_uniform_over_the_others():
    anchors, positives = descriptors(points=6)
    mask = jnp.array([True, False, True, True, True, True])
    keys = jax.random.split(KEY, 2000)
    choose = jax.vmap(lambda k: choose_negatives(anchors, positives, k, where=mask))
    _, random = jax.jit(choose)(keys)
    for i in (0, 2, 3, 4, 5):
        counts = np.bincount(random[:, i], minlength=6)
        others = [j for j in (0, 2, 3, 4, 5) if j != i]
        assert counts.sum() == counts[others].sum()
        assert stats.chisquare(counts[others]).pvalue > 1e-4


@pytest.mark.parametrize("gor_weight", [0.0, 1.0, 0.3])
def test_loss_matches_the_loop(maybe_jit, gor_weight):
    anchors, positives = descriptors(seed=5)
    mask = np.array([1, 1, 0, 1, 1, 1, 0], dtype=bool)
    fn = maybe_jit(
        lambda a, p, k, m: triplet_loss(a, p, k, where=m, gor_weight=gor_weight)
    )
    out = fn(anchors, positives, KEY, mask)
    hard, random = choose_negatives(anchors, positives, KEY, where=mask)
    expected = slow_triplet(
        anchors, positives, hard, random, mask, gor_weight=gor_weight
    )
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, expected, atol=1e-5)
    assert expected[mask].max() > 0


def test_reductions_are_the_masked_sum_and_mean():
    anchors, positives = descriptors()
    mask = jnp.array([True] * 4 + [False] * 3)
    each = triplet_loss(anchors, positives, KEY, where=mask)
    total = triplet_loss(anchors, positives, KEY, where=mask, reduction="sum")
    mean = triplet_loss(anchors, positives, KEY, where=mask, reduction="mean")
    np.testing.assert_allclose(total, each.sum(), rtol=1e-6)
    np.testing.assert_allclose(mean, each.sum() / 4, rtol=1e-6)
    np.testing.assert_array_equal(each[4:], 0.0)


def test_poster_form_by_hand():
    # Two points: both negatives of one are the other. a0.p0 = .6, a0.p1 = .8, ...
    anchors = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    positives = jnp.array([[0.6, 0.8], [0.8, 0.6]])
    poster = jax.jit(
        lambda a, p: triplet_loss(
            a, p, KEY, margin=0.5, gor_weight=0.0, reduction="sum"
        )
    )(anchors, positives)
    np.testing.assert_allclose(poster, 2 * (0.5 + 0.4 - 0.2), rtol=1e-5)
    with_gor = jax.jit(
        lambda a, p: triplet_loss(a, p, KEY, margin=0.5, reduction="mean")
    )(anchors, positives)
    np.testing.assert_allclose(with_gor, 0.7 + 2 * 0.8**2, rtol=1e-5)


def test_scaling_descriptors_changes_nothing():
    anchors, positives = descriptors()
    scale = jnp.asarray(RNG.uniform(0.1, 50, (7, 1)).astype(np.float32))
    np.testing.assert_allclose(
        triplet_loss(anchors * scale, positives / scale, KEY),
        triplet_loss(anchors, positives, KEY),
        atol=1e-5,
    )


def test_hard_negatives_follow_a_permutation_of_points():
    anchors, positives = descriptors()
    order = RNG.permutation(7)
    hard, _ = choose_negatives(anchors, positives, KEY)
    permuted, _ = choose_negatives(anchors[order], positives[order], KEY)
    np.testing.assert_array_equal(order[np.asarray(permuted)], np.asarray(hard)[order])


def test_masked_rows_anywhere_change_neither_value_nor_gradient():
    anchors, positives = descriptors()
    rows = jnp.array([1, 2, 4, 5, 7, 9, 10])
    mask = jnp.zeros((12,), dtype=bool).at[rows].set(True)
    padded = jnp.full((12, 5), jnp.nan)
    wide = padded.at[rows].set(anchors), padded.at[rows].set(positives)

    def loss(a, p, where=None):
        return triplet_loss(a, p, KEY, where=where, reduction="mean")

    fn = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    value, grads = fn(anchors, positives)
    wide_value, wide_grads = fn(*wide, mask)
    np.testing.assert_allclose(wide_value, value, rtol=1e-6)
    for grad, wide_grad in zip(grads, wide_grads):
        np.testing.assert_allclose(wide_grad[rows], grad, atol=1e-6)
        np.testing.assert_array_equal(wide_grad[~mask], 0.0)


@pytest.mark.parametrize("valid", [0, 1])
def test_fewer_than_two_points_give_zero_and_zero_gradient(valid):
    anchors, positives = descriptors()
    mask = jnp.arange(7) < valid
    fn = jax.jit(
        jax.value_and_grad(
            lambda a: triplet_loss(a, positives, KEY, where=mask, reduction="sum")
        )
    )
    value, grads = fn(anchors)
    assert float(value) == 0.0
    np.testing.assert_array_equal(grads, 0.0)


def test_no_rows_at_all():
    empty = jnp.zeros((0, 5))
    assert triplet_loss(empty, empty, KEY).shape == (0,)
    assert float(triplet_loss(empty, empty, KEY, reduction="mean")) == 0.0


@jax.jit
@jax.value_and_grad
def value_and_grad_of_itself(rows):
    return triplet_loss(rows, rows, KEY, reduction="mean")


@pytest.mark.parametrize("kind", ["zero", "identical", "tiny", "huge"])
def test_gradients_are_finite_at_degenerate_vectors(kind):
    anchors = {
        "zero": jnp.zeros((4, 3)),
        "identical": jnp.ones((4, 3)),
        "tiny": jnp.full((4, 3), 1e-30),
        "huge": jnp.full((4, 3), 1e15),
    }[kind]
    value, grads = value_and_grad_of_itself(anchors)
    assert np.isfinite(value)
    assert np.isfinite(grads).all()
    if kind in ("zero", "tiny"):
        np.testing.assert_allclose(value, 0.8, rtol=1e-6)
        np.testing.assert_array_equal(grads, 0.0)


def test_gradient_matches_finite_differences():
    # Far from a change of the nearest negative and from the corner of the hinge.
    anchors = jnp.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.2], [0.3, 0.0, 1.0]])
    positives = jnp.array([[0.9, 0.5, 0.1], [0.1, 0.8, 0.6], [0.7, 0.2, 0.9]])
    chex.assert_numerical_grads(
        jax.jit(lambda a, p: triplet_loss(a, p, KEY, reduction="mean")),
        (anchors, positives),
        order=1,
        atol=1e-2,
        rtol=1e-2,
    )


def test_batched_under_jit_equals_one_image_at_a_time():
    anchors = jnp.asarray(RNG.normal(size=(3, 6, 4)).astype(np.float32))
    positives = jnp.asarray(RNG.normal(size=(3, 6, 4)).astype(np.float32))
    mask = jnp.arange(6)[None, :] < jnp.array([[0], [3], [6]])
    keys = jax.random.split(KEY, 3)
    fn = jax.jit(lambda a, p, k, m: triplet_loss(a, p, k, where=m))
    batched = jax.jit(jax.vmap(fn))(anchors, positives, keys, mask)
    for b in range(3):
        single = fn(anchors[b], positives[b], keys[b], mask[b])
        np.testing.assert_allclose(batched[b], single, atol=1e-6)


def test_errors_name_shapes_and_choices():
    with pytest.raises(ValueError, match=r"\(4, 3\).*\(5, 3\)"):
        triplet_loss(jnp.ones((4, 3)), jnp.ones((5, 3)), KEY)
    with pytest.raises(ValueError, match="vmap"):
        triplet_loss(jnp.ones((2, 4, 3)), jnp.ones((2, 4, 3)), KEY)
    with pytest.raises(ValueError, match=r"where.*\(3,\).*\(4, 3\)"):
        triplet_loss(jnp.ones((4, 3)), jnp.ones((4, 3)), KEY, where=jnp.ones((3,)))
    with pytest.raises(ValueError, match=r"'average'.*none, mean, sum"):
        triplet_loss(jnp.ones((4, 3)), jnp.ones((4, 3)), KEY, reduction="average")

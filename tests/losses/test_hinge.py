"""The hinge on given triplets: golden and PyTorch values, edges, masks."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.losses import triplet_hinge
from rkd_jax.losses.hinge import DISTANCES

A, P, N = np.random.default_rng(4).normal(size=(3, 6, 5)).astype(np.float32)
GOLDEN = [jnp.array([row]) for row in ([1, 2, 0.5], [0.9, 1.7, 0.9], [2, -0.3, 0.4])]

# Of each distance: the values of four triplets, the gradient of their sum at anchor 2.
TORCH = {
    "angular": (
        [0.2917879, 0.30367339, 0.30191217, 0.25176634],
        [0.01143564, -0.1115746, 0.17647107, -0.1253626, 0.00883383, 0.04878211],
    ),
    "cosine": (
        [0.2742102, 0.31153726, 0.30600693, 0.14957123],
        [0.03590785, -0.3504954, 0.55436966, -0.3938135, 0.02773919, 0.15325913],
    ),
    "l2": (
        [0.59952568, 0.0, 0.18331487, 0.81673904],
        [0.07053724, -0.43922282, 0.72890984, -0.51713958, 0.02735655, 0.16906245],
    ),
}


def distance(name, a, b):
    """Compute a distance in float64 from its definition."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cosine = np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return {
        "angular": np.arccos(np.clip(cosine, -1, 1)) / np.pi,
        "cosine": 1 - cosine,
        "l2": np.sqrt(np.sum((a - b) ** 2, -1)),
    }[name]


def test_the_published_example():
    a, p, n = GOLDEN
    near, far = (DISTANCES["angular"](a, other)[0] for other in (p, n))
    np.testing.assert_allclose([near, far], [0.0696288, 0.3900047], atol=1e-7)
    assert triplet_hinge(a, p, n, margin=0.1).tolist() == [0]
    np.testing.assert_allclose(triplet_hinge(a, p, n, margin=0.4), 0.0796240, atol=1e-7)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("margin", [0.1, 0.9])
def test_hinge_of_the_definition(maybe_jit, name, margin):
    fn = maybe_jit(lambda *x: triplet_hinge(*x, margin=margin, distance=name))
    far = distance(name, A, P) - distance(name, A, N) + margin
    assert (far < 0).any() or margin > 0.5
    assert (far > 0).any()
    found = fn(A, P, N)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.maximum(far, 0), atol=2e-6)


def test_values_and_gradients_of_pytorch():
    """Against torch 2.13's `triplet_margin_with_distance_loss` in float64, frozen.

    Its distances: arccos(cosine_similarity) / pi, 1 - cosine_similarity, vector_norm.
    """
    rows = np.arange(1.0, 25.0)
    a, p, n = (np.sin(k * rows).reshape(4, 6).astype(np.float32) for k in (1, 2, 3))
    for name, (values, gradient) in TORCH.items():
        found, grads = jax.vjp(
            lambda a, name=name: triplet_hinge(a, p, n, margin=0.3, distance=name), a
        )
        np.testing.assert_allclose(found, values, atol=1e-6)
        np.testing.assert_allclose(grads(jnp.ones(4))[0][2], gradient, atol=1e-6)


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-3, 1.0, 1e15])
@pytest.mark.parametrize("which", ["equal", "opposite", "zero"])
def test_gradients_are_finite_where_a_slope_is_not(name, length, which):
    a = jnp.full((2, 3), length)
    other = {"equal": a, "opposite": -a, "zero": jnp.zeros_like(a)}[which]

    def total(a, p, n):
        return jnp.sum(triplet_hinge(a, p, n, margin=2.5, distance=name))

    fn = jax.jit(jax.value_and_grad(total, argnums=(0, 1, 2)))
    for operands in ((a, other, a), (a, a, other), (other, other, other)):
        value, gradients = fn(*operands)
        assert np.isfinite(value)
        chex.assert_tree_all_finite(gradients)
    if length == 0:
        np.testing.assert_allclose(value, 2 * 2.5, rtol=1e-6)


@pytest.mark.parametrize("name", ["angular", "cosine"])
def test_a_zero_vector_is_at_a_right_angle(name):
    zero, one = jnp.zeros((1, 3)), jnp.ones((1, 3))
    right = {"angular": 0.5, "cosine": 1.0}[name]
    for a, b in ((zero, one), (one, zero), (zero, zero)):
        np.testing.assert_allclose(DISTANCES[name](a, b), right, rtol=1e-6)


def test_small_angles_are_exact_where_a_cosine_is_not():
    """A float32 cosine of vectors 1e-4 apart is 1; their angle is not 0."""
    a = jnp.array([[1.0, 0.0]])
    b = jnp.array([[1.0, 1e-4]])
    np.testing.assert_allclose(DISTANCES["angular"](a, b), 1e-4 / np.pi, rtol=1e-5)
    assert DISTANCES["angular"](a, a).tolist() == [0]
    slope = jax.grad(lambda b: DISTANCES["angular"](a, b)[0])(b)
    np.testing.assert_allclose(slope[0], [-1e-4 / np.pi, 1 / np.pi], rtol=1e-4)


@pytest.mark.parametrize("name", DISTANCES)
def test_gradients_by_differences(name):
    chex.assert_numerical_grads(
        jax.jit(lambda *x: triplet_hinge(*x, margin=3.0, distance=name).sum()),
        (jnp.asarray(A), jnp.asarray(P), jnp.asarray(N)),
        order=1,
        atol=1e-2,
        rtol=1e-2,
    )


@pytest.mark.parametrize("name", DISTANCES)
def test_lengths_count_for_l2_alone(name):
    found = triplet_hinge(3 * A, 5 * P, 7 * N, margin=0.5, distance=name)
    same = np.allclose(found, triplet_hinge(A, P, N, margin=0.5, distance=name), 1e-4)
    assert same == (name != "l2")


@pytest.mark.parametrize("name", DISTANCES)
def test_masked_triplets_change_nothing(name):
    mask = jnp.array([True, False, True, True, False, True])
    dirty = [jnp.where(mask[:, None], x, jnp.nan) for x in (A, P, N)]

    def mean(*rows, where=None):
        return triplet_hinge(
            *rows, margin=0.9, distance=name, where=where, reduction="mean"
        )

    fn = jax.jit(jax.value_and_grad(mean, argnums=(0, 1, 2)))
    value, gradients = fn(*dirty, where=mask)
    wanted, expected = fn(*(x[mask] for x in (A, P, N)))
    np.testing.assert_allclose(value, wanted, rtol=1e-6)
    for found, rows in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found[mask], rows, atol=1e-6)
        np.testing.assert_array_equal(found[~mask], 0)
    nothing, gradients = fn(*dirty, where=jnp.zeros(6, bool))
    assert nothing == 0
    assert all((g == 0).all() for g in gradients)


def test_sum_and_mean_are_those_of_the_triplets():
    mask = jnp.arange(6) < 4
    each = triplet_hinge(A, P, N, where=mask)
    total = triplet_hinge(A, P, N, where=mask, reduction="sum")
    np.testing.assert_allclose(total, each[:4].sum(), rtol=1e-6)
    mean = triplet_hinge(A, P, N, where=mask, reduction="mean")
    np.testing.assert_allclose(mean, each[:4].mean(), rtol=1e-6)
    np.testing.assert_array_equal(each[4:], 0)


def test_half_precision_is_computed_in_float32():
    rows = [jnp.asarray(x).astype(jnp.bfloat16) for x in (A, P, N)]
    found = triplet_hinge(*rows, margin=0.5)
    assert found.dtype == jnp.float32
    wanted = triplet_hinge(*(x.astype(jnp.float32) for x in rows), margin=0.5)
    np.testing.assert_array_equal(found, wanted)


def test_errors_name_shapes_and_choices():
    a = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"positives has shape \(5, 3\)"):
        triplet_hinge(a, jnp.ones((5, 3)), a)
    with pytest.raises(ValueError, match=r"negatives has shape \(4, 2\)"):
        triplet_hinge(a, a, jnp.ones((4, 2)))
    with pytest.raises(ValueError, match="vmap"):
        triplet_hinge(a[0], a[0], a[0])
    with pytest.raises(ValueError, match=r"where.*\(3,\).*\(4, 3\)"):
        triplet_hinge(a, a, a, where=jnp.ones(3))
    with pytest.raises(ValueError, match="'cos'; expected one of angular, cosine, l2"):
        triplet_hinge(a, a, a, distance="cos")
    with pytest.raises(ValueError, match=r"'average'.*none, mean, sum"):
        triplet_hinge(a, a, a, reduction="average")

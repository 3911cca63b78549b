"""The radial distortion against NumPy's roots, and there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rkd_jax.geometry.radial import bend, unbend

STRENGTHS = st.just(0.0) | st.floats(1e-300, 1e3)
POINTS = arrays(np.float64, (5, 2), elements=st.floats(-1e3, 1e3))


@given(points=POINTS, k=STRENGTHS)
def test_there_and_back(points, k):
    near = np.abs(points).max() * 1e-12
    np.testing.assert_allclose(unbend(bend(points, k), k), points, atol=near, rtol=0)
    np.testing.assert_allclose(bend(unbend(points, k), k), points, atol=near, rtol=0)


@pytest.mark.parametrize("k", [1e-3, 0.12, 0.5, 20.0])
def test_the_radius_is_the_one_real_root_of_the_cubic(k):
    direction = np.array([0.6, -0.8])
    for far in (0.01, 0.7, 1.4, 30.0):
        roots = np.roots([k, 0, 1, -far])
        (near,) = roots.real[np.abs(roots.imag) < 1e-9]
        got = unbend(far * direction, k)
        np.testing.assert_allclose(got, near * direction, rtol=1e-9)


def test_what_is_not_bent_keeps_its_bits():
    points = np.random.default_rng(0).normal(size=(20, 2))
    assert (unbend(points, 0.0) == points).all()
    assert (bend(points, 0.0) == points).all()
    assert (unbend(np.zeros((1, 2)), 0.3) == 0).all()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_a_strength_below_0_has_no_answer():
    assert np.isnan(unbend(np.array([[0.5, 0.5]]), -0.1)).all()


@pytest.mark.parametrize("k", [0.0, 1e-6, 0.12])
def test_jax_gives_what_numpy_gives(k, maybe_jit):
    points = np.random.default_rng(1).uniform(-1.5, 1.5, (200, 2))
    points[0] = 0
    for map_ in (bend, unbend):
        got = maybe_jit(map_)(jnp.asarray(points, jnp.float32), jnp.float32(k))
        assert got.dtype == jnp.float32
        np.testing.assert_allclose(got, map_(points, k), atol=1e-6)
    slopes = jax.vmap(jax.jacfwd(lambda xy: unbend(bend(xy, k), k)))(
        jnp.asarray(points, jnp.float32)
    )
    unit = np.broadcast_to(np.eye(2), (200, 2, 2))
    np.testing.assert_allclose(slopes, unit, atol=1e-5)

"""Pairs within a radius are those of SciPy's k-d tree."""

import hypothesis
import numpy as np
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from rkd_jax.registration.matching.within import pairs_within


@hypothesis.given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([0.5, 3.0, 17.0, 400.0]),
    st.floats(-500, 500),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_pairs_are_those_of_a_tree(seed, count0, count1, radius, away):
    rng = np.random.default_rng(seed)
    points0 = rng.uniform(0, 100, (count0, 2)) + away
    points1 = rng.uniform(0, 100, (count1, 2)).round(rng.integers(0, 3))
    rows = pairs_within(points0, points1, radius)
    expected = set()
    if count0 and count1:
        near = cKDTree(points0).query_ball_tree(cKDTree(points1), radius)
        expected = {(i, j) for i, found in enumerate(near) for j in found}
    found = list(zip(*(row.tolist() for row in rows), strict=True))
    assert set(found) == expected
    assert len(found) == len(expected)

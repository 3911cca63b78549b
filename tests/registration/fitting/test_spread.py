"""Points that lie far from each other."""

import numpy as np
from scipy.spatial.distance import pdist

from rkd_jax.registration.fitting.spread import spread_out


def test_chosen_points_are_spread_farther_than_by_chance():
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.normal(0, 1, (900, 2)), rng.uniform(-40, 40, (100, 2))]
    )
    chosen = spread_out(points, 30)
    assert len(set(chosen.tolist())) == 30
    by_chance = [pdist(points[rng.permutation(1000)[:30]]).min() for _ in range(50)]
    assert pdist(points[chosen]).min() > max(by_chance)
    assert sorted(spread_out(points[:7], 30)) == list(range(7))
    assert len(spread_out(np.zeros((40, 2)), 3)) == 1  # all in one place

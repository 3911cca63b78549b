"""The best matrix in place of a transform, against SciPy's least squares."""

import numpy as np
import pytest
from made_registrations import MOVING_SIZE, registration
from scipy import optimize

from rkd_jax.registration.approximation import (
    best_affine,
    best_matrix,
    shared_points,
)
from rkd_jax.registration.expected_error.error_map import ErrorMap
from rkd_jax.registration.transforms import Homography, Quadratic

MATRIX = [[0.97, 0.1, 10.0], [-0.08, 1.01, 22.0], [8e-05, -4e-05, 1.0]]


def bowl(depth):
    """Return a map that no matrix is, and how far off it is at each point."""
    return Quadratic(
        np.eye(3), [[0, 0, 0, depth, 0, depth], [0] * 6], [150, 140], 150.0
    )


def test_best_matrix_of_a_homography_is_itself():
    truth = Homography(2.5 * np.array(MATRIX))
    found = best_matrix(registration(truth))
    np.testing.assert_allclose(found.matrix, MATRIX, rtol=1e-7)
    assert found.largest_px < 1e-6
    affine = best_affine(registration(Homography([*MATRIX[:2], [0, 0, 1]])))
    np.testing.assert_allclose(affine.matrix[:2], MATRIX[:2], atol=1e-9)


def test_best_matrix_has_the_least_squares_and_says_what_it_costs():
    pair = registration(bowl(20.0))
    found, affine = best_matrix(pair), best_affine(pair)
    grid = np.stack(np.meshgrid(np.arange(4, 300, 9), np.arange(4, 280, 9)), axis=-1)
    grid = grid.reshape(-1, 2).astype(float)
    source = pair.warp_points_inverse(grid)
    size = np.array(MOVING_SIZE[::-1]) - 1
    inside = np.all((source >= 0) & (source <= size), axis=1)
    moving, fixed = source[inside], grid[inside]

    def off(matrix):
        mapped = Homography(np.reshape(matrix, (3, 3))).apply(moving)
        return np.linalg.norm(mapped - fixed, axis=1)

    for fit in (found, affine):
        assert fit.median_px == pytest.approx(np.median(off(fit.matrix)), rel=0.03)
        assert fit.largest_px == pytest.approx(off(fit.matrix).max(), rel=0.1)
    moving, fixed = shared_points(pair)
    least = optimize.least_squares(
        lambda h: (
            Homography(np.reshape([*h, 1], (3, 3))).apply(moving) - fixed
        ).ravel(),
        np.eye(3).ravel()[:8],
        x_scale=[1, 1, 1e2, 1, 1, 1e2, 1e-3, 1e-3],
        xtol=1e-12,
    )
    np.testing.assert_allclose(off(found.matrix), off([*least.x, 1]), atol=1e-4)
    assert off(found.matrix).max() > 3
    assert (off(found.matrix) ** 2).mean() < (off(affine.matrix) ** 2).mean()


def test_the_overlap_of_the_expected_error_is_what_the_matrix_is_fitted_to():
    """Beside the field a spline may lead anywhere; nobody sees it there."""
    x, y = np.linspace(0, 299, 25), np.linspace(0, 279, 24)
    near = np.hypot(x - 150, (y - 140)[:, None]) < 60
    grid = np.ones(near.shape)
    errors = ErrorMap(x, y, grid, grid, near)
    everywhere = best_matrix(registration(bowl(20.0)))
    seen = best_matrix(registration(bowl(20.0), error_map=errors))
    assert seen.largest_px < 0.4 * everywhere.largest_px


@pytest.mark.parametrize("known", [False, True])
def test_a_strongly_enlarged_image_has_a_matrix_too(known):
    """It covers few points of a grid over the fixed image."""
    part = Homography([[1 / 9, 0, 280.0], [0, 1 / 9, 262.0], [0, 0, 1]])
    x, y = np.linspace(0, 299, 24), np.linspace(0, 279, 22)
    grid = np.ones((22, 24))
    errors = ErrorMap(x, y, grid, grid, grid) if known else None
    pair = registration(part, error_map=errors)
    np.testing.assert_allclose(best_matrix(pair).matrix, part.matrix, atol=1e-6)
    np.testing.assert_allclose(best_affine(pair).matrix, part.matrix, atol=1e-6)


def test_what_maps_nothing_has_no_matrix():
    assert best_matrix(registration(None, ok=False)) is None
    away = Homography([[1, 0, 5000], [0, 1, 0], [0, 0, 1]])
    assert best_matrix(registration(away)) is None
    assert best_affine(registration(away)) is None
    assert registration(away).to_dict()["matrix"] is None

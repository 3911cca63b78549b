"""What the matches say of the error, and the model that makes pixels of it."""

import numpy as np
import pytest

from rkd_jax.registration.expected_error.evidence import FEATURES, features
from rkd_jax.registration.expected_error.model import ErrorModel, packaged_error_model
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.fitting.problem import Problem
from rkd_jax.registration.matcher import load_matcher
from rkd_jax.registration.transforms import Frame, Radial

FRAME = Frame(500.0, 500.0, 500.0)
TRUTH = Radial([[1, 0.02, 0.1], [-0.02, 1, -0.05], [0, 0, 1]], 0.1, FRAME, FRAME)
SCALE = 0.768


def measured(points, *, noise=0.3, low=100, high=900, count=300, start=TRUTH):
    """Return the features by name, of matches in a square of the moving image."""
    rng = np.random.default_rng(0)
    moving = rng.uniform(low, high, (count, 2))
    fixed = TRUTH.apply(moving) + rng.normal(0, noise, moving.shape)
    problem = Problem(
        moving, fixed, (FRAME, FRAME), "magsac", 2.0, Curvature.prior(), start=start
    )
    inliers = np.linalg.norm(start.apply(moving) - fixed, axis=1) < 2.0
    rows = features(np.asarray(points, float), problem, inliers, SCALE)
    return dict(zip(FEATURES, rows.T, strict=True))


def test_residuals_around_a_place_are_those_of_the_noise():
    found = measured(np.random.default_rng(1).uniform(200, 800, (400, 2)))
    # Root mean square in x and y of a normal error; the mean of eight is smaller by the
    # root of eight.
    noise = SCALE * 0.3 * np.sqrt(2)
    assert np.sqrt(np.mean(found["bias"] ** 2)) == pytest.approx(
        noise / np.sqrt(8), rel=0.15
    )
    assert found["pixel"] == pytest.approx(SCALE)


def test_distance_is_that_of_the_third_nearest_match():
    found = measured([[500.0, 500.0]])
    rng = np.random.default_rng(0)
    moving = rng.uniform(100, 900, (300, 2))
    away = np.linalg.norm(TRUTH.apply(moving) - TRUTH.apply([[500.0, 500]]), axis=1)
    third = SCALE * np.sort(away)[2]
    assert found["distance_squared"][0] == pytest.approx((third / 100) ** 2)


def test_fits_differ_more_where_no_match_lies():
    found = measured([[250.0, 250.0], [850.0, 850.0]], high=400)
    for name in ("resampled", "distance_squared"):
        inside, outside = found[name]
        assert outside > 3 * inside
    noisy = measured([[250.0, 250.0]], high=400, noise=0.6)
    assert noisy["resampled"][0] > 1.3 * found["resampled"][0]


def test_a_place_that_moved_differs_from_its_matches():
    """Within 60 px of a place all matches lie 1.5 px beside where the fit is."""
    rng = np.random.default_rng(0)
    moving = rng.uniform(100, 900, (600, 2))
    fixed = TRUTH.apply(moving) + rng.normal(0, 0.2, moving.shape)
    fixed[np.linalg.norm(moving - 500, axis=1) < 60] += [1.5, 0]
    problem = Problem(
        moving, fixed, (FRAME, FRAME), "magsac", 2.0, Curvature.prior(), start=TRUTH
    )
    rows = features(
        [[500.0, 500.0], [250.0, 700.0]], problem, np.ones(600, bool), SCALE
    )
    bias = rows[:, FEATURES.index("bias")]
    assert bias[0] == pytest.approx(SCALE * 1.5, abs=0.2)
    assert bias[1] < 0.25


def test_few_matches_give_large_but_finite_numbers():
    for count in (1, 4, 9):
        found = measured([[500.0, 500.0], [2.0, 3.0]], count=count)
        assert all(np.isfinite(values).all() for values in found.values())


def test_more_evidence_against_a_place_never_makes_its_error_smaller():
    model = packaged_error_model()
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 1, (50, len(FEATURES)))
    before = np.stack(model.levels(rows))
    for column in range(len(FEATURES)):
        worse = rows.copy()
        worse[:, column] += 0.3
        after = np.stack(model.levels(worse))
        assert not (after < before - 1e-12).any()
    assert (before[1] >= before[0]).all()


def test_far_from_matches_and_beyond_the_largest_bound_nothing_is_known():
    ones = np.ones(len(FEATURES))
    model = ErrorModel({"0.5": ones, "0.9": 2 * ones}, 120.0, 30.0)
    rows = np.zeros((3, len(FEATURES)))
    rows[1, FEATURES.index("distance_squared")] = 1.3**2
    rows[2, FEATURES.index("resampled")] = 16.0
    expected, bound = model.levels(rows)
    assert np.isnan(expected).tolist() == [False, True, True]
    assert np.isnan(bound).tolist() == [False, True, True]


def test_a_model_comes_back_and_one_of_other_features_is_refused():
    model = packaged_error_model()
    back = ErrorModel.from_json(model.to_json())
    rows = np.random.default_rng(0).uniform(0, 0.5, (5, len(FEATURES)))
    np.testing.assert_allclose(back.levels(rows), model.levels(rows))
    with pytest.raises(ValueError, match="expected the features"):
        ErrorModel.from_json(model.to_json().replace('"bias"', '"other"'))


@pytest.mark.parametrize("family", ["homography", "auto"])
def test_a_plane_through_curved_fields_is_as_far_off_as_it_says(moving, family):
    frame = Frame.of_size(moving.shape)
    turned = [[1, 0.05, 0.4], [-0.05, 1, 0.2], [0.1, 0, 1]]
    truth = Radial(turned, 0.15, frame, frame)
    fixed = truth.warp(moving, moving.shape, interpolation="cubic")
    matcher = load_matcher(method="sift", working_size=320, search=False)
    found = matcher.register(fixed, moving, transform=family)
    points = np.random.default_rng(0).uniform(20, 300, (300, 2))
    _, bound = found.expected_error(points)
    known = np.isfinite(bound)
    off = np.linalg.norm(found.warp_points(points) - truth.apply(points), axis=1)
    assert known.mean() > 0.3
    assert np.mean((off <= bound)[known]) > 0.9
    # And the bound is of the size of the error.
    assert np.median(bound[known]) < 3 * np.median(off[known]) + 1.5

"""The map of the expected error: interpolation, summary, and the way through JSON."""

import json

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from rkd_jax.registration.expected_error.error_map import ErrorMap


@pytest.fixture
def error():
    rng = np.random.default_rng(0)
    x, y = np.array([0.0, 40.0, 99.0]), np.array([0.0, 10.0, 50.0, 79.0])
    expected = rng.uniform(1, 3, (4, 3))
    expected[0, 0] = np.nan
    overlap = np.ones((4, 3), bool)
    overlap[3] = False
    return ErrorMap(x, y, expected, 2.5 * expected, overlap)


def test_places_between_the_nodes_are_interpolated_as_by_scipy(error):
    points = np.random.default_rng(1).uniform([41, 11], [98, 78], (50, 2))
    for found, values in zip(
        error.at(points), (error.expected_px, error.bound_px), strict=True
    ):
        oracle = RegularGridInterpolator((error.y, error.x), values)
        assert found == pytest.approx(oracle(points[:, ::-1]), abs=1e-12)


def test_what_is_not_known_stays_unknown(error):
    beside, node, outside = [20.0, 5.0], [40.0, 0.0], [99.5, 5.0]
    expected, bound = error.at([beside, node, outside, [np.nan, 3.0]])
    assert np.isnan(expected).tolist() == [True, False, True, True]
    assert np.isnan(bound).tolist() == [True, False, True, True]
    assert expected[1] == error.expected_px[0, 1]


def test_the_summary_is_over_the_overlap(error):
    summary = error.summary()
    inside = error.expected_px[:3].ravel()[1:]
    assert summary["median_px"] == pytest.approx(np.median(inside))
    assert summary["worst_px"] == pytest.approx(inside.max())
    assert summary["bound_worst_px"] == pytest.approx(2.5 * inside.max())
    assert summary["known_frac"] == pytest.approx(8 / 9)
    nothing = ErrorMap(
        error.x, error.y, *[np.full((4, 3), np.nan)] * 2, np.zeros((4, 3))
    )
    assert set(nothing.summary().values()) == {None, 0.0}


def test_the_map_comes_back_from_json(error):
    back = ErrorMap.from_dict(json.loads(json.dumps(error.to_dict())))
    for name in ("x", "y", "expected_px", "bound_px"):
        np.testing.assert_allclose(getattr(back, name), getattr(error, name), atol=5e-3)
    assert (back.overlap == error.overlap).all()


def test_shapes_that_do_not_fit_are_refused():
    one = np.ones((2, 2))
    with pytest.raises(ValueError, match="bound_px: expected rows and columns"):
        ErrorMap([0, 1], [0, 1], one, np.ones((2, 3)), one)
    with pytest.raises(ValueError, match="x: expected increasing"):
        ErrorMap([1, 0], [0, 1], one, one, one)

"""How often errors are within what was expected of them."""

import numpy as np
import pytest

from rkd_jax.metrics.expected_error import expected_error_score


def test_exact_quantiles_are_found():
    """Errors of a known distribution: half are below its median, 9 of 10 its bound."""
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 5, 20_000)
    errors = scale * rng.rayleigh(size=len(scale))
    median, bound = np.sqrt(2 * np.log(2)) * scale, np.sqrt(2 * np.log(10)) * scale
    unknown = np.arange(len(scale)) % 4 == 0
    median[unknown] = bound[unknown] = np.nan
    score = expected_error_score(errors, median, bound)
    assert score["below_expected"] == pytest.approx(0.5, abs=0.015)
    assert score["within_bound"] == pytest.approx(0.9, abs=0.01)
    assert (score["landmarks"], score["not_known"]) == (20_000, 5_000)


def test_nothing_known_and_other_shapes():
    score = expected_error_score([1.0], [np.nan], [np.nan])
    assert score["not_known"] == 1
    assert score["within_bound"] is None
    with pytest.raises(ValueError, match=r"one shape \[N\], found \(2,\), \(1,\)"):
        expected_error_score([1.0, 2.0], [1.0], [1.0])

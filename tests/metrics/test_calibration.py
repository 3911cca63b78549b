"""Temperatures, and probabilities that are right as often as they say."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from rkd_jax.metrics.calibration import (
    COLDEST,
    HOTTEST,
    calibration_error,
    fit_temperature,
    probabilities_of,
)


def drawn(count=4000, classes=5, seed=0):
    """Return logits, and labels drawn by their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (count, classes))
    cumulative = softmax(logits, axis=1).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > cumulative).sum(axis=1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_factor(factor):
    logits, labels = drawn()
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.06)


def test_no_temperature_beside_it_has_a_lower_cross_entropy():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    logits[np.arange(50), labels] += 1.0

    def cross_entropy(temperature):
        rows = log_softmax(logits / temperature, axis=1)
        return -rows[np.arange(50), labels].mean()

    best = fit_temperature(logits, labels)
    values = [cross_entropy(best * factor) for factor in (0.97, 1.0, 1.03)]
    assert values[1] == min(values)


def test_calibration_makes_the_error_small_and_keeps_the_order():
    logits, labels = drawn()
    sure = 4.0 * logits
    before = probabilities_of(sure)
    after = probabilities_of(sure, fit_temperature(sure, labels))
    np.testing.assert_allclose(before, softmax(sure, axis=1))
    assert calibration_error(labels, before) > 0.15
    assert calibration_error(labels, after) < 0.03
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))


def test_the_ends_and_bad_logits():
    right = 5.0 * np.eye(3)
    assert COLDEST <= fit_temperature(right, np.arange(3)) < 0.2
    wrong = right[[1, 2, 0]]
    assert fit_temperature(wrong, np.arange(3)) == pytest.approx(HOTTEST, rel=1e-3)
    with pytest.raises(ValueError, match="logits of 0 images"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.full((1, 3), np.nan), np.zeros(1, int))

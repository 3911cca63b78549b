import numpy as np
import pytest

from rkd_jax.metrics.registration import registration_score


def test_numbers_by_hand():
    result = registration_score([0.0, 4.0, 5.0, np.inf, np.nan, 30.0])
    assert result["pairs"] == 6
    assert result["success"] == pytest.approx(2 / 6)  # 5.0 is not below 5
    assert result["mean_error_px"] == 2.0
    assert result["auc"] == pytest.approx((25 + 21 + 20) / 25 / 6)


def test_scaled_thresholds_equal_scaled_errors():
    errors = np.random.default_rng(0).gamma(1.0, 10.0, 50)
    scaled = registration_score(errors * 0.25, threshold_scale=0.25, success_px=1.25)
    plain = registration_score(errors)
    assert scaled["auc"] == plain["auc"]
    assert scaled["success"] == plain["success"]
    assert scaled["mean_error_px"] == pytest.approx(0.25 * plain["mean_error_px"])


def test_nothing_registered():
    result = registration_score([np.inf, np.inf])
    assert (result["auc"], result["success"]) == (0.0, 0.0)
    assert np.isnan(result["mean_error_px"])


def test_errors():
    with pytest.raises(ValueError, match=r"shape \(0,\)"):
        registration_score([])
    with pytest.raises(ValueError, match="threshold_scale 0"):
        registration_score([1.0], threshold_scale=0.0)

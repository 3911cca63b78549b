"""Made visits have the map they claim; levels hold for the share they are fitted to."""

import argparse
import pathlib
import sys

import cv2
import numpy as np
import pytest

from rkd_jax.registration.expected_error.evidence import FEATURES

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))

import calibrate_error
import made_visits


@pytest.mark.parametrize("cause", ["none", "enlarged"])
def test_made_visits_show_the_same_at_their_landmarks(tmp_path, monkeypatch, cause):
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.normal(size=(500, 600)), (0, 0), 5)
    path = tmp_path / "1_left.png"
    cv2.imwrite(str(path), np.clip(120 + 25 * image / image.std(), 40, 255))
    monkeypatch.setattr(made_visits, "_SIDES", (256,))
    monkeypatch.setattr(made_visits, "lit", lambda key, image: image)
    monkeypatch.setattr(made_visits, "_spoilt", lambda rng, image, cause: image)
    monkeypatch.setattr(made_visits, "_blinded", lambda rng, image, center: image)
    for seed in range(6):
        pair = made_visits.second_visit(path, seed, cause=cause)
        assert len(pair.points) > 20
        fixed, moving = (
            cv2.remap(
                image,
                pair.points[None, :, x].astype(np.float32),
                pair.points[None, :, x + 1].astype(np.float32),
                cv2.INTER_LINEAR,
            )[0].astype(float)
            for image, x in ((pair.fixed, 0), (pair.moving, 2))
        )
        assert fixed.std() > 10
        assert np.median(np.abs(fixed - moving)) < 2


def rows(count, seed):
    """Landmarks whose error is as large as a known sum of squares says."""
    rng = np.random.default_rng(seed)
    features = rng.uniform(0, 1, (count, len(FEATURES)))
    scale = np.sqrt(features**2 @ np.array([2.0, 0.5, 1.0, 0.7]) ** 2)
    error = scale * rng.rayleigh(size=count)
    pair = np.arange(count) // 10
    return calibrate_error.Rows(features, error, pair, pair.astype(str), pair)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_level_holds_for_its_share_of_other_landmarks(share):
    weights = calibrate_error.fit_level(rows(30_000, 0), share)
    expected = np.array([2.0, 0.5, 1.0, 0.7]) * np.sqrt(-2 * np.log(1 - share))
    np.testing.assert_allclose(weights, expected, rtol=0.2)
    others = rows(4000, 1)
    level = np.sqrt(others.features**2 @ weights**2)
    found = calibrate_error.share_below(others, level)
    assert found == pytest.approx(share, abs=0.02)


def test_no_patient_is_on_both_sides():
    first, second = calibrate_error.halves(rows(400, 0), seed=0)
    assert not set(first.patient) & set(second.patient)
    assert len(first.patient) + len(second.patient) == 400


def test_rows_of_another_source_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(calibrate_error, "collect", lambda *source: rows(20, 0))
    args = argparse.Namespace(photographs=["A"], count=2, seed=5)
    path = tmp_path / "rows.npz"
    made = calibrate_error.rows_of(path, args, {"seed": 5})
    again = calibrate_error.rows_of(path, args, {"seed": 5})
    np.testing.assert_array_equal(made.error_px, again.error_px)
    with pytest.raises(ValueError, match=r"rows of .\"seed\": 6., found .\"seed\": 5"):
        calibrate_error.rows_of(path, args, {"seed": 6})

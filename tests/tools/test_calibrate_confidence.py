"""Made pairs have the map they claim; the calibration fits, checks and draws."""

import json
import pathlib
import sys

import cv2
import numpy as np
import pytest

from rkd_jax.registration.verdict.confidence import FEATURES, ConfidenceModel

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "tools"))

import calibrate_confidence
import made_pairs


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """A round field of blobs on black."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.normal(size=(500, 600)), (0, 0), 4)
    image = 120 + 60 * image / image.std() / 3
    y, x = np.mgrid[:500, :600]
    image = np.where((x - 300) ** 2 + (y - 250) ** 2 < 240**2, image, 0)
    path = tmp_path_factory.mktemp("eyes") / "1_left.png"
    cv2.imwrite(str(path), image.astype(np.uint8))
    return path


def test_made_pair_shows_the_same_at_its_landmarks(photograph):
    pair = made_pairs.warped(photograph, 3, light=False, side=256)
    assert pair.fixed.shape == pair.moving.shape == (256, 256)
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
    assert fixed.std() > 5
    assert np.abs(fixed - moving).mean() < 1.5
    shuffled = np.random.default_rng(0).permutation(moving)
    assert np.abs(fixed - shuffled).mean() > 5
    lit = made_pairs.warped(photograph, 3, side=256)
    np.testing.assert_array_equal(lit.points, pair.points)
    assert np.abs(lit.fixed.astype(float) - pair.fixed).mean() > 1


def test_a_hard_pair_is_the_same_eye_further_apart_and_less_legible(
    photograph, monkeypatch
):
    def made(seed, hard):
        options = {"hard": hard, "light": False, "side": 256}
        return made_pairs.warped(photograph, seed, **options)

    spoilt = [made(seed, True) for seed in range(6)]
    for seed, pair in enumerate(spoilt):
        assert len(pair.points) < len(made(seed, False).points)
    monkeypatch.setattr(made_pairs, "_spoilt", lambda rng, image: image)
    for seed, pair in enumerate(spoilt):
        sharp = made(seed, True)
        np.testing.assert_array_equal(sharp.points, pair.points)
        field = (sharp.fixed > 0) & (pair.fixed > 0)
        assert pair.fixed[field].std() < sharp.fixed[field].std()


def test_test_data_are_refused(tmp_path):
    for name in ("FIRE", "multimodal"):
        (tmp_path / name).mkdir()
        with pytest.raises(ValueError, match="for testing only"):
            made_pairs.photographs([tmp_path / name])


def _rows(count=120):
    """Registrations whose evidence is two overlapping clouds."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        right = bool(rng.random() < 0.5)
        values = {
            name: float(rng.normal(sign * (1 if right else -1)))
            for name, sign in FEATURES.items()
        }
        rows.append(
            {
                "half": number % 2,
                "matcher": "made",
                "pair": str(number),
                "registrable": right,
                "error_px": 1.0 if right else np.inf,
                "right": right,
                "implausible": not right and number % 5 == 0,
                **values,
            }
        )
    rows[1] |= {name: np.nan for name in FEATURES}  # nothing could be fitted
    rows[1] |= {"right": False, "implausible": True}
    return rows


def test_calibration_checks_on_what_it_did_not_fit(tmp_path, capsys):
    rows = _rows()
    assert calibrate_confidence.calibrate(rows, tmp_path, {"seed": 7}) == 0
    model = ConfidenceModel.from_json((tmp_path / "confidence.json").read_text())
    record = model.calibration
    assert record["seed"] == 7
    assert record["fitted"]["registrations"] == record["checked"]["registrations"] == 60
    # The two clouds are 2 sqrt(6) apart: chance errs on less than one in a hundred.
    assert record["checked"]["brier"] < 0.05
    assert "confidence" in capsys.readouterr().out
    picture = cv2.imread(str(tmp_path / "reliability.png"))
    assert picture.shape == (530, 520, 3)
    # The other half has no say in the fit.
    for row in rows:
        if row["half"] == 1:
            row["support"] += 50.0
    calibrate_confidence.calibrate(rows, tmp_path, {"seed": 7})
    again = json.loads((tmp_path / "confidence.json").read_text())
    np.testing.assert_allclose(again["weights"], model.weights)


def test_reliability_counts_by_confidence():
    sure = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.0])
    right = np.array([False, False, True, True, False, True])
    rows = calibrate_confidence.reliability(sure, right)
    assert [row["pairs"] for row in rows] == [2, 4]
    assert rows[1]["right"] == 0.75
    summary = calibrate_confidence.summary(sure, right)
    assert summary["wrong_but_accepted"] == 1
    assert summary["right_but_refused"] == 0
    expected = np.mean((sure - right) ** 2)
    assert summary["brier"] == pytest.approx(expected)
    gap = (2 * 0.05 + 4 * abs(np.mean([0.95] * 3 + [1.0]) - 0.75)) / 6
    assert summary["calibration_error"] == pytest.approx(gap)

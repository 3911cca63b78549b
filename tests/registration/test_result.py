"""The judgement of a fit, its confidence, the field of view and the pictures."""

import json

import numpy as np
import pytest
from made_photos import blank_pair

from rkd_jax.registration.fitting.fit import Fit
from rkd_jax.registration.matching.matches import Matches
from rkd_jax.registration.pictures.matches import matches_picture
from rkd_jax.registration.result import Registration
from rkd_jax.registration.transforms import Frame, Homography, Quadratic
from rkd_jax.registration.verdict.confidence import (
    FEATURES,
    ConfidenceModel,
    fit_logistic,
    packaged_model,
)
from rkd_jax.registration.verdict.evidence import coverage, implausible, support
from rkd_jax.registration.verdict.judge import judge

SIZE = (600, 700)
NOWHERE = (Frame(-9.0, -9.0, 1.0), Frame(-9.0, -9.0, 1.0))
PAIR = blank_pair(SIZE, SIZE, frames=NOWHERE)
TURN = Homography([[0.9, -0.2, 80.0], [0.2, 0.95, -30.0], [0, 0, 1]])
# A model whose confidence is one half where every feature is at its center.
MODEL = ConfidenceModel(
    weights=np.array([2.0, 1.0, 2.0, -1.0, 1.0, -1.0]),
    bias=0.0,
    center=np.array([3.0, 0.3, 1.0, 0.5, 0.3, 2.0]),
    scale=np.ones(6),
)


def _judge(
    transform,
    *,
    right=100,
    wrong=40,
    noise=0.5,
    span=(50, 550),
    near=None,
    frames=NOWHERE,
    model=MODEL,
    **other,
):
    rng = np.random.default_rng(0)
    moving = rng.uniform(*span, (right + wrong, 2))
    fixed = transform.apply(moving) + rng.normal(0, noise, moving.shape)
    fixed[right:] = rng.uniform(50, 550, (wrong, 2))
    matches = Matches(fixed, moving, np.ones(len(moving), np.float32))
    evidence = support(transform, matches, PAIR)
    evidence |= {
        "near": float(3 * right if near is None else near),
        "near_by_chance": 20.0,
        "near_error_px": max(noise, 0.1),
        "near_coverage": 0.9,
        "asymmetry_px": 1.0,
        **other,
    }
    inliers = np.arange(right + wrong) < right
    fit = Fit(transform, inliers)
    pair = blank_pair(SIZE, SIZE, frames=frames)
    return judge(fit, matches, evidence, pair, model=model)


def _scaled(x, y=None):
    return Homography(np.diag([x, y or x, 1.0]))


def test_good_fit_is_accepted():
    result = _judge(TURN)
    assert result.ok
    assert result.reason == ""
    assert result.evidence["support"] == 100
    assert result.evidence["inlier_ratio"] == pytest.approx(100 / 140)
    assert result.confidence > 0.85
    assert json.loads(json.dumps(result.to_dict()))["inliers"] == 100


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (Homography([[-1, 0, 600], [0, 1, 0], [0, 0, 1]]), "mirrors"),
        (_scaled(0.2), "scales"),
        (_scaled(0.5, 1.2), "shears"),
        (Homography([[1, 0, 0], [0, 1, 0], [-2e-3, 0, 1]]), "mirrors or folds|scales"),
        (
            Quadratic(np.eye(3), [[0, 0, 0, 150.0, 0, 0], [0] * 6], [300, 300], 250.0),
            "folds",
        ),
    ],
)
def test_implausible_transforms_are_not_accepted(transform, reason):
    result = _judge(transform)
    assert not result.ok
    assert any(word in result.reason for word in reason.split("|"))
    assert result.confidence == 0


def test_scale_is_judged_in_working_pixels():
    """A file four times as large is not a magnification of four."""
    points = np.random.default_rng(0).uniform(50, 550, (100, 2))
    large = blank_pair((2400, 2800), SIZE, frames=NOWHERE)
    assert implausible(_scaled(4.0), points, large) == ""
    assert "scales" in implausible(_scaled(4.0), points, PAIR)


def test_few_matches_and_little_coverage_are_not_accepted():
    few = _judge(TURN, right=7)
    assert not few.ok
    assert few.reason == "7 matches agree, at least 8 must"
    crowded = _judge(TURN, right=12, span=(300, 360), asymmetry_px=60.0)
    assert not crowded.ok
    assert "cover" in crowded.reason
    weak = _judge(TURN, right=10, wrong=300, near=30)
    assert not weak.ok
    assert "30 lie where they should against 20 by chance" in weak.reason


def test_the_reason_names_what_chance_gives():
    chance = _judge(TURN, right=12, wrong=100, near=29)
    assert not chance.ok
    assert chance.reason.startswith(
        "29 similar points lie where they should against 20"
    )


def test_points_as_far_off_as_at_random_must_be_many():
    """Blurred photographs: points are 3 px off, but far more than chance gives."""
    how = {"noise": 1.5, "near_error_px": 3.0, "near": 60, "model": packaged_model()}
    blurred = _judge(TURN, **how, near_by_chance=1.0)
    assert blurred.ok
    assert blurred.reason == ""
    strewn = _judge(TURN, **how, near_by_chance=6.75)
    assert not strewn.ok
    assert strewn.reason.startswith("similar points lie 3.0 px from where")
    near = _judge(TURN, **{**how, "near_error_px": 2.4}, near_by_chance=6.75)
    assert near.ok


def test_points_are_told_to_lie_among_the_matches_or_beyond():
    corners = np.array([[0.0, 0], [100, 0], [0, 100], [300, 300]])
    matches = Matches(corners, corners, np.ones(4, np.float32))
    kept = np.array([True, True, True, False])
    known = (SIZE, SIZE, None)
    made = Registration(True, "", TURN, matches, kept, 1.0, {}, *known)
    points = np.array([[10.0, 10], [49, 49], [51, 51], [-1, 5], [290, 290], [0, 0]])
    assert made.supports(points).tolist() == [True, True, False, False, False, True]
    lost = Registration(True, "", TURN, matches, kept & False, 1.0, {}, *known)
    assert not lost.supports(points).any()


def test_a_fold_beyond_the_matches_is_not_accepted():
    """Good where the matches are, folded where both fields show the eye."""
    bent = Quadratic(np.eye(3), [[0, 0, 0, -150.0, 0, 0], [0] * 6], [300, 300], 250.0)
    assert _judge(bent, span=(150, 360)).ok
    frames = (Frame(300.0, 300.0, 300.0), Frame(300.0, 300.0, 300.0))
    folded = _judge(bent, span=(150, 360), frames=frames)
    assert not folded.ok
    assert "folds" in folded.reason
    small = (Frame(300.0, 300.0, 70.0), Frame(300.0, 300.0, 70.0))
    assert _judge(bent, span=(150, 360), frames=small).ok


def test_every_feature_moves_the_confidence_its_own_way():
    base = {
        "support": 40.0,
        "support_ratio": 0.3,
        "near": 150.0,
        "near_by_chance": 40.0,
        "near_error_px": 1.5,
        "coverage": 0.4,
        "near_coverage": 0.5,
        "asymmetry_px": 3.0,
    }
    better = {
        "support": 80.0,
        "support_ratio": 0.6,
        "near": 300.0,
        "near_by_chance": 20.0,
        "near_error_px": 0.7,
        "coverage": 0.5,
        "asymmetry_px": 0.5,
    }
    for model in (packaged_model(), MODEL):
        for name, value in better.items():
            risen = model.probability({**base, name: value})
            assert risen >= model.probability(base), name
            assert model is not MODEL or risen > model.probability(base), name
        assert model.probability({**base, **better}) > model.probability(base)
    assert set(np.sign(packaged_model().weights) * list(FEATURES.values())) <= {0, 1}


def test_confidence_model_survives_its_file():
    again = ConfidenceModel.from_json(MODEL.to_json())
    rows = np.random.default_rng(0).normal(size=(5, 6))
    np.testing.assert_allclose(again.logits(rows), MODEL.logits(rows), atol=1e-5)
    other = MODEL.to_json().replace('"asymmetry"', '"luck"')
    with pytest.raises(ValueError, match="calibrate anew"):
        ConfidenceModel.from_json(other)


def test_logistic_fit_is_calibrated_and_keeps_the_signs():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4000, 6))
    truth = np.array([1.5, 1.0, 0.0, -1.0, 0.5, 0.8])  # the last has the wrong sign
    chance = 1 / (1 + np.exp(-(rows @ truth + 0.5)))
    model = fit_logistic(rows, rng.random(4000) < chance)
    assert model.weights[-1] == 0
    signs = np.array(list(FEATURES.values()))
    assert np.all(model.weights * signs >= 0)
    np.testing.assert_allclose(model.weights[:5] / model.scale[:5], truth[:5], atol=0.3)
    # The mean of the fitted probabilities is the share of right ones, as the bias is
    # not penalized.
    sure = 1 / (1 + np.exp(-model.logits(rows)))
    assert sure.mean() == pytest.approx(chance.mean(), abs=0.03)
    with pytest.raises(ValueError, match="at least 10"):
        fit_logistic(rows[:20], np.ones(20, bool))


def test_matches_picture_shows_lines_of_both_kinds():
    result = _judge(TURN)
    dark = np.zeros(SIZE, np.uint8)
    picture = matches_picture(dark, dark, result, height=300).astype(int)
    width = 2 * 350 + 8
    assert picture.shape == (340, width, 3)
    red, green = picture[:300, :350, 0], picture[:300, :350, 1]
    assert (green > red + 60).sum() > 200
    assert (red > green + 60).sum() > 200
    bar = picture[300:]
    assert (bar[..., 1] > bar[..., 0] + 60).sum() > 100
    refused = _judge(_scaled(0.2))
    bar = matches_picture(dark, dark, refused, height=300).astype(int)[300:]
    assert (bar[..., 0] > bar[..., 1] + 60).sum() > 100


@pytest.mark.parametrize("size", [(882, 900), (320, 320), (719, 1001)])
def test_nearly_equal_frames_overlap_wholly(size):
    rng = np.random.default_rng(0)
    pair = blank_pair(size, size)
    height, width = size
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
    for scale in (0.0, 1e-9, 1e-7, 1e-6, 1e-5):
        for _ in range(20):
            turn = rng.normal(0, scale, (3, 3)) * [
                [1, 1, 9],
                [1, 1, 9],
                [1e-3, 1e-3, 0],
            ]
            found = coverage(Homography(np.eye(3) + turn), corners, pair)
            assert found == pytest.approx(1.0, abs=0.05)


def test_coverage_of_a_shifted_image_is_that_of_areas():
    pair = blank_pair((401, 601), (401, 601))
    shifted = Homography([[1, 0, 150], [0, 1, -100], [0, 0, 1]])
    points = np.array([[200.0, 50], [500, 50], [500, 250], [200, 250]])
    expected = 300 * 200 / (450 * 300)
    assert coverage(shifted, points, pair) == pytest.approx(expected, rel=0.05)

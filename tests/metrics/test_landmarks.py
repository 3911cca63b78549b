"""Landmark scores against loops written here, and their edge cases."""

import math

import numpy as np
import pytest

from rkd_jax.metrics import landmarks as metrics

RNG = np.random.default_rng(5)


def slow_errors(predicted, truth, first, second):
    errors = []
    for found, wanted in zip(predicted, truth):
        unit = math.dist(wanted[first], wanted[second])
        total = sum(math.dist(a, b) for a, b in zip(found, wanted))
        errors.append(total / 98 / unit)
    return errors


@pytest.mark.parametrize(
    ("normalizer", "first", "second"), [("corners", 60, 72), ("pupils", 96, 97)]
)
def test_errors_equal_the_loop_on_random_points(normalizer, first, second):
    truth = RNG.uniform(0, 256, (7, 98, 2))
    predicted = truth + RNG.normal(0, 9, truth.shape)
    found = metrics.face_errors(predicted, truth, normalizer=normalizer)
    np.testing.assert_allclose(
        found, slow_errors(predicted, truth, first, second), rtol=1e-12
    )


def test_scores_equal_loops_on_random_errors():
    errors = RNG.uniform(0, 0.2, 41)
    result = metrics.summary(errors)
    assert result["faces"] == 41
    assert result["nme"] == pytest.approx(100 * sum(errors) / 41)
    assert result["failure_rate"] == pytest.approx(
        100 * sum(1 for e in errors if e > 0.1) / 41
    )
    # The area under the staircase, by a fine midpoint rule.
    levels = (np.arange(20_000) + 0.5) / 20_000 * 0.1
    curve = (errors[:, None] <= levels).mean(axis=0)
    assert result["auc"] == pytest.approx(curve.mean(), abs=1e-4)


def test_a_perfect_prediction_has_no_error():
    truth = RNG.uniform(0, 256, (3, 98, 2))
    errors = metrics.face_errors(truth, truth)
    assert metrics.summary(errors) == {
        "faces": 3,
        "nme": 0.0,
        "failure_rate": 0.0,
        "auc": 1.0,
    }


def test_errors_do_not_depend_on_the_frame():
    truth = RNG.uniform(0, 256, (2, 98, 2))
    predicted = truth + RNG.normal(0, 5, truth.shape)
    angle, scale = 0.7, 3.2
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    moved = [points @ turn.T + [40.0, -7.0] for points in (predicted, truth)]
    np.testing.assert_allclose(
        metrics.face_errors(*moved), metrics.face_errors(predicted, truth), rtol=1e-10
    )


def test_a_face_whose_eye_corners_coincide_is_refused_by_name():
    truth = RNG.uniform(0, 256, (3, 98, 2))
    truth[1, 72] = truth[1, 60]
    names = ["a.jpg#0", "b.jpg#1", "c.jpg#0"]
    with pytest.raises(ValueError, match=r"b\.jpg#1: points 60 and 72 coincide"):
        metrics.face_errors(truth, truth, names=names)
    metrics.face_errors(truth, truth, names=names, normalizer="pupils")


def test_bad_input_is_named():
    truth = RNG.uniform(0, 256, (2, 98, 2))
    broken = truth.copy()
    broken[1, 5, 0] = np.nan
    with pytest.raises(ValueError, match="face 1: prediction with a non-finite"):
        metrics.face_errors(broken, truth)
    with pytest.raises(ValueError, match=r"\(2, 97, 2\).*expected \[N, 98, 2\]"):
        metrics.face_errors(truth[:, :97], truth)
    with pytest.raises(ValueError, match="corners, pupils"):
        metrics.face_errors(truth, truth, normalizer="nose")
    with pytest.raises(ValueError, match="no faces"):
        metrics.summary(np.zeros(0))


def test_subsets_are_scored_by_their_members_and_empty_ones_left_out():
    errors = np.array([0.01, 0.05, 0.3, 0.04])
    flags = {
        "pose": np.array([True, False, True, False]),
        "blur": np.zeros(4, bool),
    }
    scores = metrics.by_subset(errors, flags)
    assert list(scores) == ["all", "pose"]
    assert scores["pose"] == metrics.summary(errors[[0, 2]])
    assert scores["all"]["nme"] == pytest.approx(10.0)

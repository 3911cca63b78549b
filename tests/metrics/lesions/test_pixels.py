"""Scores of pixels against scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy.special import expit

from rkd_jax.metrics.lesions import pixels
from rkd_jax.metrics.lesions.curves import (
    ScoreCurve,
    count_pixels,
    first_above,
    first_from,
    to_levels,
    to_scores,
)

SCORES = [0.05, 0.15, 0.92, 0.55, 0.35, 0.81, 0.65, 0.22, 0.48, 0.99]
LABELS = [0, 0, 1, 1, 0, 0, 1, 0, 1, 1]


def scores_of(levels):
    scores = expit((levels.astype(float) - 32768) / 1560)
    return np.where(levels == 0, 0.0, np.where(levels == 65535, 1.0, scores))


def curve_of(levels, lesion):
    return ScoreCurve.of(*count_pixels(np.asarray(levels), np.asarray(lesion)))


@pytest.fixture(scope="module")
def sklearn_metrics():
    return pytest.importorskip("sklearn.metrics")  # of the extra "test"


@pytest.fixture(scope="module")
def golden():
    return curve_of(to_levels(np.array(SCORES)), np.array(LABELS) > 0)


@pytest.fixture(scope="module", params=["ties", "many levels", "mostly zero"])
def drawn(request):
    rng = np.random.default_rng(3)
    lesion = rng.random((90, 100)) < 0.1
    top = {"ties": 12, "many levels": 65536, "mostly zero": 400}[request.param]
    levels = rng.integers(0, top, lesion.shape) * (1 if top > 12 else 5957)
    levels = np.where(lesion, np.maximum(levels, levels[::-1]), levels)
    if top == 400:
        levels = np.where(rng.random(lesion.shape) < 0.8, 0, levels)
    return levels.astype(np.uint16), lesion


def test_golden_values(golden):
    assert pixels.aupr(golden) == pytest.approx(0.86)
    assert pixels.average_precision(golden) == pytest.approx(0.8766667, abs=1e-7)


def test_average_precision_is_that_of_scikit_learn(drawn, sklearn_metrics):
    levels, lesion = drawn
    expected = sklearn_metrics.average_precision_score(lesion.ravel(), levels.ravel())
    found = pixels.average_precision(curve_of(levels, lesion))
    assert found == pytest.approx(expected, abs=1e-12)


def test_aupr_is_the_area_of_predictions_at_equal_steps(drawn, sklearn_metrics):
    levels, lesion = drawn
    for count in (11, 33):
        recalls, precisions = [], []
        for i in range(count):
            found = scores_of(levels) > i / (count - 1)
            hits = (found & lesion).sum()
            recalls.append(hits / lesion.sum())
            precisions.append(hits / found.sum() if found.any() else 1.0)
        expected = sklearn_metrics.auc(recalls, precisions)
        area = pixels.aupr(curve_of(levels, lesion), levels=count)
        assert area == pytest.approx(expected, abs=1e-12)


def test_best_f1_is_reached_at_its_threshold_and_nowhere_exceeded(
    drawn, sklearn_metrics
):
    levels, lesion = drawn
    curve = curve_of(levels, lesion)
    best, threshold = pixels.best_f1(curve)
    at = scores_of(levels) >= threshold
    assert best == pytest.approx(sklearn_metrics.f1_score(lesion.ravel(), at.ravel()))
    every = [
        sklearn_metrics.f1_score(lesion.ravel(), (levels >= level).ravel())
        for level in np.unique(levels)[:: max(1, len(np.unique(levels)) // 50)]
    ]
    assert best >= max(every) - 1e-12
    again = pixels.at_threshold(curve, float(threshold))
    assert again["f1"] == pytest.approx(best)


def test_scores_at_a_threshold_are_those_of_the_mask(drawn, sklearn_metrics):
    levels, lesion = drawn
    threshold = float(np.quantile(scores_of(levels), 0.95))
    found = pixels.at_threshold(curve_of(levels, lesion), threshold)
    mask = (scores_of(levels) >= threshold).ravel()
    for name in ("precision", "recall", "f1"):
        expected = getattr(sklearn_metrics, f"{name}_score")(lesion.ravel(), mask)
        assert found[name] == pytest.approx(expected)


def test_a_score_equal_to_the_threshold():
    """It is in the mask, as in a detector's; 11 levels count what is above."""
    # Level 32768 is 0.5 exactly.
    assert (first_from(0.5), first_above(0.5)) == (32768, 32769)
    curve = curve_of(np.uint16([32767, 32768]), [True, True])
    assert pixels.at_threshold(curve, 0.5)["recall"] == 0.5
    lowest = curve_of(np.uint16([32768, 32769]), [False, True])
    # Above 0.5: the lesion alone; above 0 to 0.4: both.
    assert pixels.aupr(lowest) == 1.0


def test_rounding_moves_no_pixel_across_a_threshold():
    rng = np.random.default_rng(0)
    scores = rng.random(20000).astype(np.float32)
    for threshold in (0.5, 0.3, 0.07):
        mask = to_levels(scores) >= first_from(threshold)
        near = np.abs(scores - threshold) < 0.25 / 1560
        np.testing.assert_array_equal(mask[~near], scores[~near] >= threshold)
    assert to_levels(np.float32([0.5])) >= first_from(0.5)


@pytest.mark.parametrize("largest", [1e-4, 1e-2, 1.0])
def test_rounding_keeps_the_order_of_scores_of_any_size(largest):
    """A geometric mean with maps that are 0 is below 1e-4."""
    rng = np.random.default_rng(1)
    lesion = rng.random(4000) < 0.1
    scores = expit(rng.normal(lesion * 2.0, 2.0)).astype(np.float32)
    # From below, and the same distances from 1.
    for small in (largest * scores, 1 - largest * (1 - scores)):
        order = np.argsort(-small, kind="stable")
        found = np.cumsum(lesion[order])
        exact = (found / np.arange(1, 4001))[lesion[order]].mean()
        area = pixels.average_precision(curve_of(to_levels(small), lesion))
        assert area == pytest.approx(exact, abs=2e-3)


def test_levels_and_scores_are_inverse():
    levels = np.arange(65536)
    scores = to_scores(levels)
    np.testing.assert_allclose(scores, scores_of(levels), atol=1e-15)
    assert (np.diff(scores) > 0).all()
    # 1e-9 is the least, and 1 - 2**-24 the largest below 1.
    kept = (levels == 0) | (levels == 65535) | ((levels > 441) & (levels < 58700))
    np.testing.assert_array_equal(to_levels(scores[kept]), levels[kept])


def test_the_curve_has_the_points_of_scikit_learn(drawn, sklearn_metrics):
    levels, lesion = drawn
    curve = curve_of(levels, lesion)
    precision, recall, score = pixels.precision_recall(curve)
    theirs = sklearn_metrics.precision_recall_curve(lesion.ravel(), levels.ravel())
    every = scores_of(np.arange(65536))
    found = np.searchsorted((every[1:] + every[:-1]) / 2, score)
    assert len(found)
    at = np.searchsorted(theirs[2], found)
    np.testing.assert_array_equal(theirs[2][at], found)
    np.testing.assert_allclose((precision, recall), (theirs[0][at], theirs[1][at]))
    steps = np.diff(np.concatenate([[0.0], recall])) @ precision
    assert pixels.average_precision(curve) == pytest.approx(steps)


def test_photographs_together_score_as_one_picture(drawn):
    levels, lesion = drawn
    parts = [count_pixels(levels[a], lesion[a]) for a in (slice(0, 20), slice(20, 90))]
    rows = ScoreCurve.of(*map(np.stack, zip(*parts)))
    whole = curve_of(levels, lesion)
    np.testing.assert_array_equal(rows.together().found, whole.found)
    np.testing.assert_array_equal(rows.together().wrong, whole.wrong)
    twice = pixels.average_precision(rows.weighted(np.array([[1, 1], [0, 1], [2, 2]])))
    expected = pixels.average_precision(whole)
    np.testing.assert_allclose(twice[[0, 2]], expected)
    alone = pixels.average_precision(curve_of(levels[20:], lesion[20:]))
    assert twice[1] == pytest.approx(alone)
    assert abs(float(alone - expected)) > 1e-6


def test_weights_must_fit_the_photographs():
    curve = ScoreCurve.of(np.ones((3, 65536)), np.ones((3, 65536)))
    with pytest.raises(ValueError, match="weights of 2 photographs"):
        curve.weighted(np.ones(2))


def test_without_lesions_scores_do_not_exist():
    curve = curve_of(np.uint16([1, 60000]), [False, False])
    found = pixels.at_threshold(curve, 0.5)
    for value in (
        *(pixels.average_precision(curve), pixels.aupr(curve), *pixels.best_f1(curve)),
        *(found["recall"], found["f1"]),
    ):
        assert np.isnan(value)
    assert found["precision"] == 0
    assert all(part.size == 0 for part in pixels.precision_recall(curve))


def test_precision_of_nothing_does_not_exist():
    found = pixels.at_threshold(curve_of(np.uint16([1, 2]), [True, False]), 0.5)
    assert np.isnan(found["precision"])
    assert found["recall"] == found["f1"] == 0


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match=r"expected 0\.\.1"):
        to_levels(np.array([0.5, bad]))


def test_large_pictures_are_counted_in_blocks():
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 65536, (1100, 1000)).astype(np.uint16)
    lesion = levels % 7 == 0
    inside, outside = count_pixels(levels, lesion)
    np.testing.assert_array_equal(
        inside + outside, np.bincount(levels.ravel(), minlength=65536)
    )
    np.testing.assert_array_equal(inside, np.bincount(levels[lesion], minlength=65536))


def test_masks_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="one shape"):
        count_pixels(np.zeros((2, 3), np.uint16), np.zeros((3, 2), bool))

"""Bootstrap of photographs: against one draw at a time, and known extremes."""

import numpy as np
import pytest

from rkd_jax.metrics.bootstrap import draw_groups, intervals, paired_difference
from rkd_jax.metrics.lesions import froc, pixels, resampling
from rkd_jax.metrics.lesions.curves import ScoreCurve, count_pixels


@pytest.fixture(scope="module")
def photographs():
    rng = np.random.default_rng(1)
    made = []
    for strength in (0.5, 1.0, 2.0, 4.0):
        lesion = rng.random((40, 40)) < 0.05
        scores = rng.normal(strength * lesion, 1.0)
        levels = np.clip(20000 + 6000 * scores, 0, 65535).astype(np.uint16)
        made.append((levels, lesion))
    return made


def rows(photographs):
    return ScoreCurve.of(*map(np.stack, zip(*(count_pixels(*p) for p in photographs))))


def numbers(curve):
    return resampling.pixel_numbers(curve, 0.4)


def test_draws_are_scores_of_the_drawn_photographs(photographs):
    drawn = resampling.drawn(rows(photographs), numbers, resamples=20, seed=5)
    weights = draw_groups(4, resamples=20, seed=5)
    for draw in (0, 7, 19):  # in the first and in the second part
        chosen = np.repeat(np.arange(4), weights[draw])
        levels = np.concatenate([photographs[i][0] for i in chosen])
        lesion = np.concatenate([photographs[i][1] for i in chosen])
        expected = numbers(ScoreCurve.of(*count_pixels(levels, lesion)))
        for name, value in expected.items():
            assert drawn[name][draw] == pytest.approx(float(value)), name
    assert len(np.unique(drawn["average_precision"])) > 5


def test_an_interval_holds_its_number_and_is_none_of_one_photograph(photographs):
    curve = rows(photographs)
    drawn = resampling.drawn(curve, numbers, resamples=200)
    found = intervals(drawn, 4)
    for name in ("average_precision", "aupr_11", "best_f1", "f1"):
        low, high = found[name]
        assert low < float(numbers(curve.together())[name]) < high
    assert set(intervals(drawn, 1).values()) == {None}


def test_a_method_does_not_differ_from_itself(photographs):
    drawn = resampling.drawn(rows(photographs), numbers, resamples=50)
    again = resampling.drawn(rows(photographs), numbers, resamples=50)
    found = paired_difference(drawn, again, 4)
    assert found["average_precision"] == [0, 0]


def test_pairing_sees_what_two_intervals_do_not(photographs):
    """A method a little better everywhere: the intervals overlap, the gain is sure."""
    better = [
        (np.where(mask, levels + 600, levels).astype(np.uint16), mask)
        for levels, mask in photographs
    ]
    drawn = [
        resampling.drawn(rows(p), numbers, resamples=300) for p in (better, photographs)
    ]
    low, high = paired_difference(*drawn, 4)["average_precision"]
    assert 0 < low < high
    one, other = (intervals(d, 4)["average_precision"] for d in drawn)
    assert one[0] < other[1]


def test_draws_without_lesions_are_left_out():
    levels = np.uint16([[1, 60000]])
    made = [(levels, np.array([[False, True]])), (levels, np.zeros((1, 2), bool))]
    drawn = resampling.drawn(rows(made), numbers, resamples=60)
    absent = np.isnan(drawn["average_precision"])
    assert 0 < absent.sum() < 60
    low, high = intervals(drawn, 2)["average_precision"]
    assert 0.5 <= low < high == 1


def test_lesions_are_drawn_with_their_photographs():
    made = [
        froc.Detections(np.uint16([900, 0]), np.uint16([950, 300])),
        froc.Detections(np.uint16([800]), np.uint16([])),
    ]
    curve = froc.detection_curve(made)

    def found(one):
        return resampling.lesion_numbers(one, 2)

    drawn = resampling.drawn(curve, found, resamples=30, seed=2)
    weights = draw_groups(2, resamples=30, seed=2)
    # Twice the second: all found; twice the first: two false ones an image come first.
    expected = {(0, 2): 1.0, (2, 0): 0.5, (1, 1): 2 / 3}
    values = [expected[tuple(row)] for row in weights.tolist()]
    np.testing.assert_allclose(drawn["sensitivity_at_1"], values)
    assert set(map(tuple, weights.tolist())) == set(expected)
    strict = {(0, 2): 1.0, (2, 0): 0.0, (1, 1): 0.0}
    np.testing.assert_allclose(
        drawn["sensitivity_at_0.125"], [strict[tuple(row)] for row in weights.tolist()]
    )
    ends = [drawn[f"sensitivity_at_{rate:g}"] for rate in froc.RATES]
    np.testing.assert_allclose(drawn["sensitivity_mean"], np.mean(ends, axis=0))


def test_average_precision_does_not_depend_on_the_scale_of_scores(photographs):
    """But for ties, a curve that rises changes no order of pixels."""
    halved = [(np.uint16(levels // 2 * 2 // 2), mask) for levels, mask in photographs]
    even = [(np.uint16(levels // 2 * 2), mask) for levels, mask in photographs]
    one, other = (pixels.average_precision(rows(p).together()) for p in (halved, even))
    assert one == pytest.approx(other)

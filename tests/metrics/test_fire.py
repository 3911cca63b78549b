import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rkd_jax.metrics import fire
from rkd_jax.metrics.fire import PairResult

RNG = np.random.default_rng(0)


def pair(name, error=1.0, eye=0, failed=False):
    """A pair whose ten control points are all `error` px off."""
    return PairResult(name, failed, None if failed else np.full(10, error), eye)


def random_pairs(counts, seed=0):
    rng = np.random.default_rng(seed)
    pairs = []
    for category, count in counts.items():
        for i in range(1, count + 1):
            failed = rng.random() < 0.1
            errors = rng.gamma(1.0, 1.0, 10) * rng.gamma(1.0, 15.0)
            name = f"{category}{i:02d}_1_2"
            pairs.append(
                PairResult(name, failed, None if failed else errors, len(pairs) // 3)
            )
    return pairs


def slow_auc(pairs):
    """The definition, word for word."""
    total = 0.0
    for threshold in range(1, 26):
        below = 0
        for result in pairs:
            if not result.failed and sum(result.errors) / 10 < threshold:
                below += 1
        total += below / len(pairs)
    return total / 25


def slow_outcome(result):
    if result.failed:
        return "failed"
    ordered = sorted(result.errors)
    median = (ordered[4] + ordered[5]) / 2
    return "inaccurate" if ordered[-1] > 50 or median > 20 else "acceptable"


def test_pair_errors_by_hand_and_at_infinity():
    predicted = np.array([[3.0, 4.0], [1.0, 1.0], [np.nan, 0.0], [np.inf, 2.0]])
    true = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_array_equal(
        fire.pair_errors(predicted, true), [5.0, 0.0, np.inf, np.inf]
    )
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(3, 2\)"):
        fire.pair_errors(predicted, true[:3])


@pytest.mark.parametrize(
    ("errors", "outcome"),
    [
        (None, "failed"),
        ([1.0, np.inf], "failed"),
        ([1.0, np.nan], "failed"),
        ([20.0, 20.0, 50.0], "acceptable"),
        ([0.0, 0.0, 50.001], "inaccurate"),
        ([0.0, 20.001, 21.0], "inaccurate"),
        ([19.0, 19.0, 22.0, 23.0], "inaccurate"),
    ],
)
def test_classify_at_the_limits(errors, outcome):
    assert fire.classify(None if errors is None else np.array(errors)) == outcome


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([0.0, 0.0], 1.0),
        ([5.0], 20 / 25),  # strictly below: 6..25
        ([4.999], 21 / 25),
        ([25.0, 1000.0, np.inf, np.nan], 0.0),
        ([24.999, np.inf], 1 / 50),
    ],
)
def test_auc_by_hand(errors, expected):
    assert fire.auc(errors) == pytest.approx(expected, abs=1e-12)


def test_auc_of_nothing_is_nan_and_thresholds_count():
    assert np.isnan(fire.auc([]))
    assert fire.auc([1.0, 3.0], thresholds=[2.0, 4.0]) == 0.75


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 40), min_size=1, max_size=12), st.floats(0, 10))
def test_auc_lies_in_0_1_and_falls_with_the_errors(errors, more):
    value = fire.auc(errors)
    assert 0.0 <= value <= 1.0
    assert fire.auc(np.array(errors) + more) <= value + 1e-12
    assert fire.auc(errors[::-1]) == pytest.approx(value)


def test_score_agrees_with_the_definition_on_a_full_benchmark():
    pairs = random_pairs({"S": 71, "P": 49, "A": 14})
    result = fire.score(pairs, resamples=10)
    for part, kept in (
        (result, [p for p in pairs if p.name != "P37_1_2"]),
        (result["with_P37"], pairs),
    ):
        classes = {c: [p for p in kept if p.name[0] == c] for c in "SPA"}
        expected = {c: slow_auc(group) for c, group in classes.items()}
        for c, group in classes.items():
            assert part[c] == pytest.approx(expected[c], abs=1e-12)
            assert part["pairs"][c] == len(group)
        assert part["mAUC"] == pytest.approx(sum(expected.values()) / 3, abs=1e-12)
        assert part["pooled"] == pytest.approx(slow_auc(kept), abs=1e-12)
        assert part["pairs"]["all"] == len(kept)
        outcomes = [slow_outcome(p) for p in kept]
        for name in ("failed", "inaccurate", "acceptable"):
            count = outcomes.count(name)
            assert count > 0
            assert part["counts"][name] == count
            assert part[name] == pytest.approx(100 * count / len(kept))
        errors = [p.errors.mean() for p in kept if not p.failed]
        assert part["mean_landmark_error"] == pytest.approx(np.mean(errors))
        errors = [p.errors.mean() for p in classes["A"] if not p.failed]
        assert part["mean_landmark_error_by_class"]["A"] == pytest.approx(
            np.mean(errors)
        )
    assert result["pairs"]["all"] == 133


def test_p37_is_left_out_of_the_main_numbers_only():
    pairs = [pair("P01", 0.0, 0), pair("P37_1_2", 100.0, 1), pair("S37", 0.0, 2)]
    result = fire.score(pairs, resamples=50)
    assert (result["P"], result["pairs"]["P"]) == (1.0, 1)
    assert result["inaccurate"] == 0.0
    with_p37 = result["with_P37"]
    assert (with_p37["P"], with_p37["pairs"]["P"]) == (0.5, 2)
    assert with_p37["counts"]["inaccurate"] == 1


def test_p37_alone_leaves_the_main_numbers_empty():
    result = fire.score([pair("P37", 2.0)], resamples=5)
    assert result["mAUC"] is None
    assert result["pooled"] is None
    assert result["pairs"]["all"] == 0
    assert result["with_P37"]["P"] == pytest.approx(23 / 25)


def test_subset_averages_over_the_classes_present():
    result = fire.score([pair("S01", 0.5), pair("A01", 10.0, 1)], resamples=5)
    assert result["classes_in_mAUC"] == "SA"
    assert result["P"] is None
    assert result["mAUC"] == pytest.approx((1.0 + 15 / 25) / 2)
    assert result["pairs"] == {"S": 1, "P": 0, "A": 1, "all": 2}


def test_failed_pairs_count_as_misses_but_not_in_the_mean_error():
    lost = PairResult("S03", False, np.array([1.0, np.nan]), 2)
    result = fire.score([pair("S01", 3.0), pair("S02", failed=True, eye=1), lost])
    assert result["S"] == pytest.approx(22 / 25 / 3)
    assert result["mean_landmark_error"] == 3.0
    assert result["counts"] == {"failed": 2, "inaccurate": 0, "acceptable": 1}
    nothing = fire.score([pair("S02", failed=True)])
    assert nothing["mean_landmark_error"] is None
    assert nothing["S"] == 0.0


def test_score_is_strict_json():
    pairs = [*random_pairs({"S": 5, "P": 4}), pair("A01", failed=True)]
    text = json.dumps(fire.score(pairs, resamples=20), allow_nan=False)
    assert json.loads(text)["pairs"]["all"] == 10


def test_bootstrap_is_deterministic_and_ordered():
    pairs = random_pairs({"S": 12, "P": 12, "A": 9})
    first = fire.score(pairs, seed=3, resamples=300)
    assert first == fire.score(pairs, seed=3, resamples=300)
    assert first["intervals"] != fire.score(pairs, seed=4, resamples=300)["intervals"]
    for name, (low, high) in first["intervals"].items():
        assert low <= first[name] <= high, name


def test_bootstrap_draws_eyes_not_pairs():
    # 20 pairs of one perfect eye, 20 of one lost eye: as few as two samples.
    errors = [0.5] * 20 + [40.0] * 20
    by_eye = [pair(f"S{i + 1}", e, eye=i // 20) for i, e in enumerate(errors)]
    apart = [pair(f"S{i + 1}", e, eye=i) for i, e in enumerate(errors)]
    assert fire.score(by_eye)["intervals"]["S"] == [0.0, 1.0]
    low, high = fire.score(apart)["intervals"]["S"]
    assert 0.3 < low < 0.4 < 0.6 < high < 0.7  # 0.5 -+ 1.96 * sqrt(.25 / 40)


def test_bootstrap_agrees_with_a_loop_over_resampled_eyes():
    pairs = random_pairs({"S": 9, "P": 9, "A": 3}, seed=5)
    result = fire.score(pairs, resamples=4000)
    groups = [[p for p in pairs if p.eye == eye] for eye in range(7)]
    rng = np.random.default_rng(9)
    drawn = {"mAUC": [], "A": [], "mean_landmark_error": []}
    for _ in range(1500):
        sample = [p for g in rng.integers(0, 7, 7) for p in groups[g]]
        classes = [[p for p in sample if p.name[0] == c] for c in "SPA"]
        found = [p.errors.mean() for p in sample if not p.failed]
        if classes[2]:
            drawn["A"].append(slow_auc(classes[2]))
        if all(classes):
            drawn["mAUC"].append(np.mean([slow_auc(group) for group in classes]))
        if found:
            drawn["mean_landmark_error"].append(np.mean(found))
    for name, values in drawn.items():
        expected = np.quantile(values, [0.025, 0.975])
        tolerance = 0.12 * (expected[1] - expected[0]) + 1e-9
        np.testing.assert_allclose(
            result["intervals"][name], expected, atol=tolerance, err_msg=name
        )


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(2)
    hits = 0
    for seed in range(60):
        errors = np.where(rng.random(60) < 0.5, 0.5, 40.0)
        pairs = [pair(f"S{i + 1}", e, eye=i) for i, e in enumerate(errors)]
        low, high = fire.score(pairs, resamples=300, seed=seed)["intervals"]["S"]
        hits += low <= 0.5 <= high
    assert 50 <= hits <= 60


def test_one_eye_gives_no_interval():
    result = fire.score([pair("S01"), pair("S02")])
    assert result["eyes"] == 1
    assert set(result["intervals"].values()) == {None}
    assert fire.summary_rows(result)[0]["low"] is None


def test_group_eyes_follows_chains_and_ignores_order():
    hashes = [("a", "b"), ("c", "d"), ("e", "f"), ("f", "c"), ("g", "b"), ("h", "h")]
    assert fire.group_eyes(hashes).tolist() == [0, 1, 1, 1, 0, 2]
    assert fire.group_eyes([]).shape == (0,)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=15)
)
def test_group_eyes_equals_scipy_components(edges):
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ours = fire.group_eyes([(str(a), str(b)) for a, b in edges])
    rows, columns = np.array(edges).T
    graph = coo_array((np.ones(len(edges)), (rows, columns)), shape=(13, 13))
    labels = connected_components(graph, directed=False)[1][rows]
    same = labels[:, None] == labels[None, :]
    np.testing.assert_array_equal(ours[:, None] == ours[None, :], same)


def test_rows_for_tables():
    ragged = PairResult("A02_1_2", False, np.array([1.0, 2.0, 6.0]), 7, 40, 30)
    assert fire.pair_row(ragged) == {
        "pair": "A02",
        "category": "A",
        "eye": 7,
        "outcome": "acceptable",
        "mean_error": 3.0,
        "median_error": 2.0,
        "max_error": 6.0,
        "matches": 40,
        "inliers": 30,
    }
    row = fire.pair_row(pair("S01", failed=True))
    assert (row["outcome"], row["mean_error"]) == ("failed", None)
    result = fire.score([ragged, pair("S01", 0.0)], resamples=10)
    rows = {row["score"]: row for row in fire.summary_rows(result)}
    assert list(rows) == ["S", "A", "mAUC", "pooled"]
    assert rows["A"]["auc"] == pytest.approx(22 / 25)
    assert rows["A"]["pairs"] == 1
    assert rows["pooled"]["pairs"] == 2
    assert rows["mAUC"]["low"] <= rows["mAUC"]["high"]


def test_errors_of_records_and_scores():
    with pytest.raises(ValueError, match=r"'X01'.*FIRE name"):
        PairResult("X01", True, None, 0)
    with pytest.raises(ValueError, match="S01: not failed"):
        PairResult("S01", False, None, 0)
    with pytest.raises(ValueError, match=r"S01: errors have shape \(0,\)"):
        PairResult("S01", False, np.zeros(0), 0)
    with pytest.raises(ValueError, match="no pairs"):
        fire.score([])
    with pytest.raises(ValueError, match=r"more than once: S01"):
        fire.score([pair("S01"), pair("S01_1_2")])
    with pytest.raises(ValueError, match="resamples is 0"):
        fire.score([pair("S01")], resamples=0)

"""Scores of classes against scikit-learn, closed forms and one draw at a time."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics

from rkd_jax.metrics import class_draws, classification
from rkd_jax.metrics.bootstrap import draw_groups, intervals, paired_difference


def made(count=120, classes=4, seed=0, strength=1.5):
    """Return labels of unequal classes, and probabilities that know them a little."""
    rng = np.random.default_rng(seed)
    share = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    labels = np.concatenate(
        [np.arange(classes), rng.choice(classes, count - classes, p=share)]
    )
    logits = rng.normal(size=(count, classes))
    logits[np.arange(count), labels] += strength
    return labels, softmax(np.round(logits, 1), axis=1)  # some are equal


def test_scores_are_those_of_scikit_learn():
    labels, given = made()
    predicted = given.argmax(axis=1)
    found = classification.scores(labels, given, ordered=True)
    macro = {"average": "macro"}
    expected = {
        "accuracy": metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, predicted),
        "macro_precision": metrics.precision_score(labels, predicted, **macro),
        "macro_recall": metrics.recall_score(labels, predicted, **macro),
        "macro_f1": metrics.f1_score(labels, predicted, **macro),
        "quadratic_kappa": metrics.cohen_kappa_score(
            labels, predicted, weights="quadratic"
        ),
        "auc_ovr": metrics.roc_auc_score(labels, given, multi_class="ovr"),
        "auc_ovo": metrics.roc_auc_score(labels, given, multi_class="ovo"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert tuple(found) == classification.score_names(ordered=True)
    two = classification.scores(labels % 2, given[:, :2] / given[:, :2].sum(1)[:, None])
    assert two["auc_ovr"] == pytest.approx(two["auc_ovo"])


def test_brier_and_calibration_by_a_plain_loop():
    labels, given = made()
    found = classification.scores(labels, given)
    truth = np.zeros_like(given)
    truth[np.arange(len(labels)), labels] = 1
    squares = [((p - t) ** 2).sum() for p, t in zip(given, truth)]
    assert found["brier"] == pytest.approx(np.mean(squares))
    total = 0.0
    for low in np.arange(15) / 15:
        top = given.max(axis=1)
        members = (top >= low) & ((top < low + 1 / 15) | (low > 0.93))
        if members.any():
            right = given[members].argmax(axis=1) == labels[members]
            total += members.mean() * abs(top[members].mean() - right.mean())
    assert found["ece"] == pytest.approx(total)


def test_absent_classes_leave_the_averages_of_the_present_ones():
    labels, given = made(classes=3)
    wide = np.insert(given, 1, 0.0, axis=1)
    moved = np.array([0, 2, 3])[labels]
    expected = classification.scores(labels, given)
    assert classification.scores(moved, wide) == pytest.approx(expected)
    # What is predicted of an absent class is wrong, but lowers no precision.
    wide[np.flatnonzero(wide.argmax(axis=1) == moved)[0]] = [0, 1, 0, 0]
    with_error = classification.scores(moved, wide)
    assert with_error["accuracy"] < expected["accuracy"]
    rows = classification.class_scores(moved, wide)
    assert rows[1] == {
        "images": 0,
        "predicted": 1,
        "precision": 0.0,
        "recall": None,
        "f1": None,
        "auc": None,
    }
    recalls = [row["recall"] for row in rows if row["images"]]
    assert with_error["balanced_accuracy"] == pytest.approx(np.mean(recalls))


def test_one_class_alone_has_no_areas_and_no_kappa():
    found = classification.scores(np.zeros(3, int), np.eye(2)[[0, 0, 0]], ordered=True)
    assert (found["accuracy"], found["brier"], found["ece"]) == (1, 0, 0)
    for name in ("auc_ovr", "auc_ovo", "quadratic_kappa"):
        assert found[name] is None
    drawn = class_draws.drawn(
        np.zeros(3, int), np.eye(2)[[0, 0, 0]], np.arange(3), ordered=True, resamples=9
    )
    assert intervals(drawn, 3)["auc_ovr"] is None
    assert intervals(drawn, 3)["accuracy"] == [1, 1]


def test_scores_of_each_class():
    labels, given = made()
    predicted = given.argmax(axis=1)
    rows = classification.class_scores(labels, given)
    table = metrics.precision_recall_fscore_support(labels, predicted)
    for name, values in zip(("precision", "recall", "f1", "images"), table):
        assert [row[name] for row in rows] == pytest.approx(values.tolist())
    matrix = classification.confusion(labels, given)
    assert [row["predicted"] for row in rows] == matrix.sum(axis=0).tolist()
    for number, row in enumerate(rows):
        false, true = classification.roc_curve(labels, given, number)
        assert row["auc"] == pytest.approx(np.trapezoid(true, false))


@pytest.mark.parametrize("members", [1, 3])
def test_draws_are_scores_of_the_drawn_groups(members):
    labels, given = made(count=60)
    groups = np.array([f"patient {i // members}" for i in range(60)])[::-1]
    drawn = class_draws.drawn(labels, given, groups, ordered=True, resamples=12, seed=3)
    names = np.unique(groups)
    assert set(drawn) == set(classification.score_names(ordered=True))
    for draw, row in enumerate(draw_groups(len(names), resamples=12, seed=3)):
        chosen = np.repeat(names, row)
        rows = np.concatenate([np.flatnonzero(groups == name) for name in chosen])
        assert set(labels[rows]) == set(labels)
        expected = classification.scores(labels[rows], given[rows], ordered=True)
        for name, value in expected.items():
            assert drawn[name][draw] == pytest.approx(value), name


def test_draws_in_blocks_are_the_same(monkeypatch):
    labels, given = made(count=60)
    whole = class_draws.drawn(labels, given, np.arange(60), resamples=20)
    monkeypatch.setattr(class_draws, "_AT_ONCE", 200)
    parts = class_draws.drawn(labels, given, np.arange(60), resamples=20)
    for name in whole:
        np.testing.assert_allclose(whole[name], parts[name])


def test_draws_that_lack_a_class_have_no_averages_over_classes():
    labels, given = np.array([0, 0, 0, 1]), np.full((4, 2), 0.5)
    drawn = class_draws.drawn(labels, given, np.arange(4), resamples=200)
    lacking = np.isnan(drawn["auc_ovr"])
    assert 0 < lacking.sum() < 200
    for name in ("balanced_accuracy", "macro_f1", "macro_precision", "auc_ovo"):
        np.testing.assert_array_equal(np.isnan(drawn[name]), lacking, name)
    assert np.isfinite(drawn["accuracy"]).all()
    assert intervals(drawn, 4)["balanced_accuracy"] == [0.5, 0.5]


def test_groups_widen_the_interval_and_pairing_narrows_the_difference():
    labels, given = made(count=40, seed=1)
    # Each image four times, as four photographs of one lesion.
    labels, given = np.repeat(labels, 4), np.repeat(given, 4, axis=0)
    by = {}
    for name, groups in (("image", np.arange(160)), ("lesion", np.arange(160) // 4)):
        drawn = class_draws.drawn(labels, given, groups, resamples=300)
        low, high = intervals(drawn, len(np.unique(groups)))["accuracy"]
        by[name] = high - low
    assert by["lesion"] == pytest.approx(2 * by["image"], rel=0.25)
    better = given.copy()
    better[:4] = np.eye(4)[labels[:4]]
    first, second = (
        class_draws.drawn(labels, one, np.arange(160) // 4, resamples=300)
        for one in (better, given)
    )
    low, high = paired_difference(first, second, 40)["brier"]
    assert high - low < 0.5 * np.diff(intervals(first, 40)["brier"]).item()


@pytest.mark.parametrize(
    ("labels", "shape", "message"),
    [
        ([0, 2], (2, 2), "labels from 0 to 2; expected 0 to 1"),
        ([0], (2, 2), "1 labels for 2 probabilities"),
        ([], (0, 2), "N above 0"),
        ([0, 1], (2, 3), "sum is not 1"),
    ],
)
def test_bad_input(labels, shape, message):
    with pytest.raises(ValueError, match=message):
        classification.scores(np.array(labels, int), np.full(shape, 0.5))

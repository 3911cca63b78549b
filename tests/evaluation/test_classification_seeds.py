"""Means over runs of one recipe with other seeds."""

import dataclasses

import numpy as np
import pytest

from rkd_jax.evaluation import classification_scores, classification_seeds
from rkd_jax.metrics import bootstrap, class_draws, classification

COUNT, CLASSES = 60, 3
LABELS = np.arange(COUNT) % CLASSES
GROUPS = np.arange(COUNT) // 2


@dataclasses.dataclass(frozen=True)
class Row:
    numbers: dict
    intervals: dict
    drawn: dict


def row(seed, skill):
    """Score drawn probabilities; a larger `skill` is right more often."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(COUNT, CLASSES)) + skill * np.eye(CLASSES)[LABELS]
    found = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = class_draws.drawn(LABELS, found, GROUPS, resamples=80)
    return Row(classification.scores(LABELS, found), {}, drawn)


ROWS = {
    "ce_0": row(0, 0.5),
    "ce_1": row(1, 0.5),
    "full_0": row(2, 1.5),
    "full_1": row(3, 1.5),
}


def test_means_are_those_of_the_runs():
    found = classification_seeds.average(ROWS, 30)
    assert list(found) == ["ce", "full"]
    for name, one in found.items():
        first, second = (ROWS[f"{name}_{seed}"].numbers for seed in (0, 1))
        for score, value in one.numbers.items():
            assert value == pytest.approx((first[score] + second[score]) / 2)
            # Of two numbers, that is their difference by the root of two.
            apart = abs(first[score] - second[score]) / 2**0.5
            assert one.spread[score] == pytest.approx(apart)
        assert one.runs == 2


def test_an_interval_is_of_the_mean_on_the_same_draws():
    """Runs whose errors cancel have a mean without any spread over the draws."""
    draws = np.linspace(-0.1, 0.1, 41)
    up, down = (
        Row({"accuracy": 0.5}, {}, {"accuracy": 0.5 + sign * draws}) for sign in (1, -1)
    )
    found = classification_seeds.average({"a_0": up, "a_1": down}, 9)["a"]
    assert found.intervals["accuracy"] == pytest.approx([0.5, 0.5])


def test_recipes_are_compared_as_rows_are():
    means = classification_seeds.average(ROWS, 30)
    (gain,) = classification_scores.compare(means, 30)
    assert (gain["first"], gain["second"]) == ("full", "ce")
    drawn = {name: one.drawn["accuracy"] for name, one in ROWS.items()}
    gains = [drawn[f"full_{seed}"] - drawn[f"ce_{seed}"] for seed in (0, 1)]
    expected = np.mean(gains, axis=0)
    interval = bootstrap.percentiles(expected, bootstrap.CONFIDENCE)
    assert gain["intervals"]["accuracy"] == pytest.approx(interval)
    assert gain["difference"]["accuracy"] > 0


def test_a_single_run_has_no_spread():
    found = classification_seeds.average({"ce_7": ROWS["ce_0"]}, 30)["ce"]
    assert found.numbers == pytest.approx(ROWS["ce_0"].numbers)
    assert set(found.spread.values()) == {None}
    assert found.line()["accuracy_sd"] == ""


def test_a_number_that_one_run_lacks_is_in_no_mean():
    lacking = dataclasses.replace(
        ROWS["ce_1"], numbers={**ROWS["ce_1"].numbers, "auc_ovr": None}
    )
    found = classification_seeds.average({"ce_0": ROWS["ce_0"], "ce_1": lacking}, 30)
    assert found["ce"].numbers["auc_ovr"] is None
    assert found["ce"].spread["auc_ovr"] is None


@pytest.mark.parametrize("name", ["ce", "ce_a", "_1", "ce-1"])
def test_a_row_without_a_seed_is_named(name):
    with pytest.raises(ValueError, match=f"{name}' has no seed in its name"):
        classification_seeds.recipes(["ce_0", name])

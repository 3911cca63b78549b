"""Draws by the last loss: their chances, their shares, their state."""

import json

import numpy as np
import pytest

from rkd_jax.data.weighted import Weighted


def drawn(order, number):
    order.begin(number)
    size = order.round_size
    return np.array(
        [order[place] for place in range(number * size, (number + 1) * size)]
    )


def assert_drawn_by(records, chances):
    """Within four standard deviations of a binomial count."""
    count = len(records)
    found = np.bincount(records, minlength=len(chances)) / count
    chances = np.asarray(chances)
    deviation = np.sqrt(chances * (1 - chances) / count)
    assert (np.abs(found - chances) <= 4 * deviation).all()


def test_chances_are_proportional_to_the_last_loss():
    order = Weighted(np.zeros(4, int), round_size=20_000, seed=0)
    assert_drawn_by(drawn(order, 0), [0.25] * 4)
    order.record([0, 1, 2, 3], [9.0, 1.0, 2.0, 3.0])
    order.record([0], [4.0])
    assert_drawn_by(drawn(order, 1), [0.4, 0.1, 0.2, 0.3])


def test_easy_examples_keep_a_small_chance_and_unread_ones_the_mean():
    order = Weighted(np.zeros(4, int), round_size=20_000, seed=0, floor=0.1)
    order.begin(0)
    order.record([0, 1, 3], [0.0, 2.0, 1.0])
    weights = np.array([0.2, 2.0, 1.0, 1.0])
    assert_drawn_by(drawn(order, 1), weights / weights.sum())
    order.record(range(4), np.zeros(4))
    assert_drawn_by(drawn(order, 2), [0.25] * 4)


def test_groups_keep_their_shares_and_some_are_uniform():
    groups = np.array([1, 0, 1, 0, 0])
    order = Weighted(
        groups, round_size=3_000, seed=1, shares={1: 2 / 3, 0: 1 / 3}, by_loss=(0,)
    )
    order.begin(0)
    order.record(range(5), [1.0, 1.0, 9.0, 3.0, 0.0])
    records = drawn(order, 1)
    assert (groups[records].reshape(-1, 3).sum(axis=1) == 2).all()
    positives, negatives = records[groups[records] == 1], records[groups[records] == 0]
    assert_drawn_by(positives, [0.5, 0, 0.5])
    chances = np.array([0, 1, 0, 3, 0.003])
    assert_drawn_by(negatives, chances / chances.sum())


def test_a_round_depends_on_the_losses_before_it_only():
    order, other = (Weighted(np.zeros(9, int), round_size=50, seed=3) for _ in "ab")
    for one in (order, other):
        one.begin(0)
        one.record([1, 2], [5.0, 1.0])
        one.begin(1)
    other.record([7], [100.0])
    np.testing.assert_array_equal(drawn(order, 1), drawn(other, 1))
    order.record([7], [100.0])
    restored = Weighted(np.zeros(9, int), round_size=50, seed=3)
    restored.set_state(json.loads(json.dumps(order.get_state())))
    for number in (1, 2):
        expected = drawn(order, number)
        np.testing.assert_array_equal(drawn(restored, number), expected)
        np.testing.assert_array_equal(drawn(other, number), expected)


def test_a_place_of_another_round_is_no_place():
    order = Weighted([0, 0], round_size=2, seed=0)
    with pytest.raises(IndexError, match="round 0, in round -1"):
        order[0]


@pytest.mark.parametrize("loss", [np.nan, np.inf, -0.5])
def test_losses_that_are_none_are_named(loss):
    order = Weighted([0, 0], round_size=2, seed=0)
    with pytest.raises(ValueError, match=f"loss of example 1 is {loss}"):
        order.record([0, 1], [1.0, loss])


def test_a_round_has_examples():
    with pytest.raises(ValueError, match="round_size=0"):
        Weighted([0], round_size=0, seed=0)

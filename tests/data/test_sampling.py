"""Orders of examples: as runs began with them, in the shares and groups asked for."""

import collections

import numpy as np
import pytest

from rkd_jax.data.sampling import Balanced, InOrder, Mix, Shuffle, by_groups


def read(order, count):
    return [order[place] for place in range(count)]


def test_orders_of_runs_that_have_begun_stay():
    """Written down from the version before there were samplers."""
    shuffled = [7, 4, 0, 3, 1, 2, 5, 6, 5, 6, 7, 0, 4, 3, 1, 2, 7, 1, 0, 2]
    mixed = [2, 1, 0, 4, 0, 1, 2, 3, 2, 1, 0, 5, 1, 2, 0, 7, 2, 0, 1, 6]
    groups = [1, 1, 1, 0, 0, 0, 0, 0]
    assert read(by_groups(groups, 0.0, seed=5), 20) == shuffled
    assert read(by_groups(groups, 0.75, seed=5), 20) == mixed
    assert read(by_groups([0] * 8, 0.75, seed=5), 20) == shuffled


def test_an_epoch_covers_each_example_once_in_a_new_order():
    epochs = np.reshape(read(Shuffle(10, seed=0), 30), (3, 10))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [np.arange(10)] * 3)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_seeds_differ_even_shifted_by_an_epoch():
    order0, order1 = (
        np.reshape(read(Shuffle(12, seed=seed), 36), (3, 12)) for seed in (0, 1)
    )
    assert not {tuple(e) for e in order0} & {tuple(e) for e in order1}


def test_in_order():
    assert read(InOrder(3), 7) == [0, 1, 2, 0, 1, 2, 0]


def test_shares_are_kept_and_each_group_is_shuffled_by_epoch():
    groups = np.array([2, 0, 1, 0, 0, 1, 0, 0])
    drawn = np.array(read(Mix(groups, {0: 0.5, 1: 0.25, 2: 0.25}, seed=1), 40))
    counts = collections.Counter(groups[drawn].tolist())
    assert counts == {0: 20, 1: 10, 2: 10}
    for group, size in ((0, 5), (1, 2)):
        for epoch in drawn[groups[drawn] == group].reshape(-1, size):
            assert sorted(epoch) == np.flatnonzero(groups == group).tolist()


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({1: 1.0, 0: 0.0}, "shares above 0 that sum to 1"),
        ({1: 0.7, 0: 0.7}, "shares above 0 that sum to 1"),
        ({1: 0.5, 3: 0.5}, "no example is of group 3; .* are 0, 1"),
    ],
)
def test_bad_shares_are_named(shares, words):
    with pytest.raises(ValueError, match=words):
        Mix([1, 0], shares, seed=0)


class TestBalanced:
    # Of group 0 six examples, of 1 four, of 2 five, of 3 one.
    groups = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 2, 0, 3])

    def batches(self, count, *, per_batch, per_group, seed=0):
        order = Balanced(self.groups, count=per_batch, per_group=per_group, seed=seed)
        size = per_batch * per_group
        return np.reshape(read(order, count * size), (count, per_batch, per_group))

    def test_batches_hold_p_groups_with_k_examples_each(self):
        for batch in self.batches(20, per_batch=3, per_group=2):
            found = self.groups[batch]
            assert (found == found[:, :1]).all()
            assert len(set(found[:, 0])) == 3
            for row in batch[found[:, 0] != 3]:
                assert len(set(row)) == 2

    @pytest.mark.parametrize("per_batch", [2, 4])
    def test_examples_of_a_group_are_dealt_out_before_one_comes_again(self, per_batch):
        batches = self.batches(24 // per_batch, per_batch=per_batch, per_group=2)
        of_group_0 = batches[self.groups[batches[..., 0]] == 0]
        for epoch in of_group_0.reshape(2, 6):
            assert sorted(epoch) == np.flatnonzero(self.groups == 0).tolist()

    def test_groups_are_dealt_out_before_one_comes_again(self):
        found = self.groups[self.batches(20, per_batch=2, per_group=1)][..., 0]
        for two in found.reshape(10, 4):
            assert sorted(two) == [0, 1, 2, 3]
        assert len({tuple(two) for two in found.reshape(10, 4)}) > 2

    def test_a_small_group_gives_what_it_has_again(self):
        for batch in self.batches(5, per_batch=4, per_group=5):
            rows = {self.groups[row[0]]: row.tolist() for row in batch}
            assert rows[3] == [15] * 5
            counts = collections.Counter(rows[1])
            assert sorted(counts.values()) == [1, 1, 1, 2]

    def test_any_place_can_be_read_first(self):
        order = Balanced(self.groups, count=3, per_group=2, seed=1)
        straight = read(order, 60)
        assert [order[place] for place in reversed(range(60))] == straight[::-1]
        other = Balanced(self.groups, count=3, per_group=2, seed=2)
        assert read(other, 60) != straight

    @pytest.mark.parametrize(("count", "per_group"), [(5, 1), (0, 1), (1, 0)])
    def test_more_groups_than_there_are(self, count, per_group):
        with pytest.raises(ValueError, match="of 4 groups; expected 1 to 4 groups"):
            Balanced(self.groups, count=count, per_group=per_group, seed=0)

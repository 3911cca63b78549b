"""Which rows of the banks an image is compared with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.tasks.classification.banks import Banks, Members

LABELS = np.array([2, 0, 1, 0, 0, 2, 0, 1, 0, 0])


def drawn(index, draws=200, **how):
    members = Members(LABELS, 4)
    how = {"positives": 3, "negatives": 5, **how}
    keys = jax.random.split(jax.random.key(0), draws)
    rows, counts = jax.jit(jax.vmap(lambda key: members.draw(key, index, **how)))(keys)
    return np.asarray(rows), np.asarray(counts)


@pytest.mark.parametrize("index", range(len(LABELS)))
def test_positives_are_of_the_class_and_negatives_are_not(index):
    rows, counts = drawn(index)
    same, other = rows[:, :3], rows[:, 3:]
    members = set(np.flatnonzero(LABELS[index] == LABELS).tolist())
    assert (same[:, 0] == index).all()
    size = min(3, len(members))
    assert (counts[:, :3] == (np.arange(3) < size)).all()
    assert counts[:, 3:].all()
    for row in same[:, :size]:
        assert len(set(row.tolist())) == size
        assert set(row.tolist()) <= members
    # Of all draws together, each other image is there.
    assert set(same[:, :size].ravel().tolist()) == members
    assert set(other.ravel().tolist()) == set(range(10)) - members


def test_each_positive_is_as_likely():
    rows, _ = drawn(1, draws=4000)
    counts = np.bincount(rows[:, 1:3].ravel(), minlength=10)[[3, 4, 6, 8, 9]]
    # 8000 draws of five, each 1600 times with a standard deviation below 36.
    assert np.abs(counts - 1600).max() < 5 * 36


def test_each_negative_is_as_likely():
    rows, _ = drawn(2, draws=1600)
    counts = np.bincount(rows[:, 3:].ravel(), minlength=10)[LABELS != 1]
    assert np.abs(counts - 1000).max() < 5 * 30


def test_negatives_of_any_class_are_all_but_the_image():
    rows, counts = drawn(4, any_class=True)
    assert counts[:, 3:].all()
    assert set(rows[:, 3:].ravel().tolist()) == set(range(10)) - {4}


def test_rows_of_each_class_are_any_of_it_and_only_of_it():
    members = Members(LABELS, 4)  # no image of class 3
    rows, counts = jax.jit(lambda key: members.draw_of_each(key, 50))(jax.random.key(0))
    rows, counts = (np.asarray(x).reshape(4, 50) for x in (rows, counts))
    assert counts.all(axis=1).tolist() == [True, True, True, False]
    assert not counts[3].any()
    for label in range(3):
        assert set(rows[label].tolist()) == set(np.flatnonzero(label == LABELS))


def test_a_single_class_has_no_negatives():
    members = Members(np.zeros(4, int), 1)
    rows, counts = members.draw(jax.random.key(0), 2, positives=2, negatives=3)
    assert counts.tolist() == [True, True, False, False, False]
    assert rows[0] == 2


def test_more_positives_than_images():
    rows, counts = drawn(7, positives=12)
    assert counts[:, :12].sum(axis=1).tolist() == [2] * 200
    assert set(rows[:, :2].ravel().tolist()) == {2, 7}


def test_fresh_banks_are_uniform():
    banks = Banks.fresh(jax.random.key(1), 4000, 12)
    for bank in (banks.student, banks.teacher):
        assert bank.shape == (4000, 12)
        assert float(jnp.abs(bank).max()) == pytest.approx(0.5, abs=1e-3)
        assert float(jnp.abs(bank.mean())) < 0.01
    assert float(jnp.abs(banks.student - banks.teacher).max()) > 0.5
    assert banks.z_student == banks.z_teacher == 0

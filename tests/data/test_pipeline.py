"""The order of examples, its shares, and going on after a stop."""

import json
import subprocess
import sys

import numpy as np
import pytest

from rkd_jax.data import pipeline


def source(n=10):
    return [
        {"x": np.full((2, 3), i, np.float32), "index": np.int32(i)} for i in range(n)
    ]


def reader(n=10, **options):
    options = {"batch_size": 4, "seed": 0, "num_threads": 0, **options}
    return pipeline.batches(source(n), **options)


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def indices(batches):
    return np.concatenate([batch["index"] for batch in batches])


def assert_equal(batches0, batches1):
    for batch0, batch1 in zip(batches0, batches1, strict=True):
        assert batch0.keys() == batch1.keys()
        for name in batch0:
            np.testing.assert_array_equal(batch0[name], batch1[name])


def test_an_epoch_covers_each_example_once_in_a_new_order():
    epochs = indices(take(reader(12), 9)).reshape(3, 12)
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [np.arange(12)] * 3)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_epochs_need_not_be_whole_batches():
    order = indices(take(reader(10), 5))
    np.testing.assert_array_equal(np.sort(order[:10]), np.arange(10))
    np.testing.assert_array_equal(np.sort(order[10:]), np.arange(10))


def test_seeds_differ_even_shifted_by_an_epoch():
    order0 = indices(take(reader(12, seed=0), 9)).reshape(3, 12)
    order1 = indices(take(reader(12, seed=1), 9)).reshape(3, 12)
    assert not {tuple(e) for e in order0} & {tuple(e) for e in order1}
    assert_equal(take(reader(12, seed=1), 3), take(reader(12, seed=1), 3))


def test_without_shuffling():
    order = indices(take(reader(6, shuffle=False), 3))
    np.testing.assert_array_equal(order, np.arange(12) % 6)


@pytest.mark.parametrize("num_threads", [0, 3])
def test_goes_on_exactly_after_a_stop(num_threads):
    straight = take(reader(num_threads=num_threads), 12)
    first = reader(num_threads=num_threads)
    take(first, 5)
    state = json.loads(json.dumps(first.get_state()))
    second = reader(num_threads=num_threads)
    second.set_state(state)
    assert_equal(take(second, 7), straight[5:])
    take(first, 2)
    first.set_state(state)  # back, in the same iterator
    assert_equal(take(first, 7), straight[5:])


def test_processes_together_read_what_one_reads():
    whole = take(reader(batch_size=4), 6)
    parts = [
        take(reader(batch_size=2, process_index=p, process_count=2), 6)
        for p in range(2)
    ]
    joined = [
        {name: np.concatenate([a[name], b[name]]) for name in a}
        for a, b in zip(*parts, strict=True)
    ]
    assert_equal(joined, whole)
    np.testing.assert_array_equal(whole[3]["example"], np.arange(4))
    np.testing.assert_array_equal(parts[1][3]["example"], [2, 3])


def test_batches_name_their_records():
    for batch in take(reader(7), 8):
        np.testing.assert_array_equal(batch["record"], batch["index"])
        assert batch["record"].dtype == batch["example"].dtype == np.int32
        assert batch["x"].shape == (4, 2, 3)


def test_errors_of_the_source_arrive():
    class Broken(list):
        def __getitem__(self, i):
            raise ValueError("eye.png: damaged image")

    for num_threads in (0, 2):
        batches = pipeline.batches(
            Broken([0]), batch_size=1, seed=0, num_threads=num_threads
        )
        with pytest.raises(ValueError, match=r"eye\.png: damaged"):
            next(batches)


def test_bad_arguments():
    with pytest.raises(ValueError, match="empty"):
        reader(0)
    with pytest.raises(ValueError, match="batch_size=0"):
        reader(batch_size=0)
    with pytest.raises(ValueError, match="process_index=2 of process_count=2"):
        reader(process_index=2, process_count=2)


def test_reading_never_imports_tensorflow_or_tfds():
    program = (
        "import sys; from rkd_jax.data import pipeline; "
        "s = pipeline.make_source('synthetic', count=1, size=64); "
        "next(pipeline.batches(s, batch_size=1, seed=0)); "
        "print('tensorflow' in sys.modules, 'tensorflow_datasets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]


class _Kinds:
    """Five labeled examples, then fifteen others."""

    n_labeled = 5

    def __len__(self):
        return 20

    def __getitem__(self, i):
        return {"x": np.array(i)}


def test_labeled_share_is_kept_and_each_kind_is_shuffled_by_epoch():
    reader = pipeline.batches(
        _Kinds(), batch_size=4, seed=1, labeled_share=0.5, num_threads=0
    )
    drawn = np.concatenate([next(reader)["x"] for _ in range(10)])
    labeled = drawn[drawn < 5]
    assert len(labeled) == 20
    for epoch in labeled.reshape(4, 5):
        assert sorted(epoch) == list(range(5))
    others = drawn[drawn >= 5]
    assert sorted(others[:15]) == list(range(5, 20))


def test_labeled_share_needs_both_kinds():
    with pytest.raises(ValueError, match="labeled_share"):
        pipeline.batches(_Kinds(), batch_size=2, seed=0, labeled_share=1.0)

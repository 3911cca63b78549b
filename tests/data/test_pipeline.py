"""Batches: their shares, their arrays, and going on after a stop."""

import json
import subprocess
import sys

import numpy as np
import pytest

from rkd_jax.data.pipeline import Batches
from rkd_jax.data.sampling import Balanced, InOrder, Shuffle
from rkd_jax.data.source import CachedSource
from rkd_jax.data.weighted import Weighted


def source(n=10):
    """Return volumes of a depth, height, width and channel, and their numbers."""
    return CachedSource(
        lambda i: {"x": np.full((4, 3, 2, 1), i, np.float32), "index": np.int32(i)},
        [f"volume {i}" for i in range(n)],
    )


def reader(n=10, sampler=None, **options):
    options = {"batch_size": 4, "num_threads": 0, **options}
    return Batches(source(n), sampler or Shuffle(n, seed=0), **options)


def by_loss(n=10, round_size=8):
    return Weighted(np.arange(n) % 2, round_size=round_size, seed=0)


class Learning:
    """Batches whose losses are recorded as a step would give them, one by one."""

    def __init__(self, batches):
        self.batches = batches

    def __next__(self):
        batch = next(self.batches)
        back = np.argsort(-batch["example"])  # devices may answer in any order
        examples = {name: batch[name][back] for name in ("record", "example")}
        loss = np.float32((batch["index"] % 3)[back])
        self.batches.record({**examples, "loss": loss})
        return batch


def take(iterator, count):
    return [next(iterator) for _ in range(count)]


def assert_equal(batches0, batches1):
    for batch0, batch1 in zip(batches0, batches1, strict=True):
        assert batch0.keys() == batch1.keys()
        for name in batch0:
            np.testing.assert_array_equal(batch0[name], batch1[name])


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
        assert batch["x"].shape == (4, 4, 3, 2, 1)


def test_a_batch_is_described_by_names():
    batches = reader(6, InOrder(6), batch_size=2)
    assert batches.describe(next(batches)) == "volume 0, volume 1"


@pytest.mark.parametrize("num_threads", [0, 3])
def test_goes_on_exactly_in_any_round_of_a_sampler_by_loss(num_threads):
    def start():
        return Learning(reader(sampler=by_loss(), num_threads=num_threads))

    straight = take(start(), 9)
    for stopped in range(1, 8):
        first = start()
        take(first, stopped)
        state = json.loads(json.dumps(first.batches.get_state()))
        second = start()
        second.batches.set_state(state)
        assert_equal(take(second, 9 - stopped), straight[stopped:])


def test_the_first_batch_of_a_round_waits_for_losses():
    batches = reader(sampler=by_loss())
    begins = []
    for _ in range(6):
        begins.append(batches.begins_round)
        batch = next(batches)
        batches.record({**batch, "loss": np.ones(4, np.float32)})
    assert begins == [True, False] * 3
    assert not reader().begins_round


def test_of_two_losses_of_an_example_the_last_of_the_batch_counts():
    batches, expected = reader(sampler=by_loss()), by_loss()
    batches.record(
        {
            "record": np.array([5, 2, 5, 1]),
            "example": np.array([3, 2, 1, 0]),  # as devices may answer
            "loss": np.array([3.0, 2.0, 1.0, 0.0], np.float32),
        }
    )
    expected.record([1, 2, 5], [0.0, 2.0, 3.0])
    assert batches.get_state()["sampler"] == expected.get_state()


def test_a_sampler_by_loss_without_losses_is_an_error():
    batches = reader(sampler=by_loss())
    for _ in range(2):
        batch = next(batches)
        batches.record({"record": batch["record"], "example": batch["example"]})
    with pytest.raises(ValueError, match=r'Aux\.examples with "loss"'):
        next(batches)


def test_a_position_of_another_sampler_is_refused():
    with pytest.raises(ValueError, match="another kind of sampler"):
        reader().set_state(reader(sampler=by_loss()).get_state())
    with pytest.raises(ValueError, match="losses are those of 10 examples"):
        reader(9, by_loss(9)).set_state(reader(sampler=by_loss()).get_state())


def test_a_position_as_grain_wrote_it_is_read():
    batches = reader()
    batches.set_state({"next_index": 3})
    assert_equal([next(batches)], take(reader(), 4)[3:])


def test_errors_of_the_source_arrive():
    def fail(index):
        raise ValueError("eye.png: damaged image")

    broken = CachedSource(fail, ["eye.png"])
    for num_threads in (0, 2):
        batches = Batches(broken, InOrder(1), batch_size=1, num_threads=num_threads)
        with pytest.raises(ValueError, match=r"eye\.png: damaged"):
            next(batches)


def test_bad_arguments():
    with pytest.raises(ValueError, match="empty"):
        reader(0, InOrder(1))
    with pytest.raises(ValueError, match="batch_size=0"):
        reader(batch_size=0)
    with pytest.raises(ValueError, match="process_index=2 of process_count=2"):
        reader(process_index=2, process_count=2)
    balanced = Balanced([0, 1], count=2, per_group=3, seed=0)
    with pytest.raises(ValueError, match="batch of 4; the sampler gives batches of 6"):
        reader(2, balanced)
    with pytest.raises(ValueError, match="6 examples is not a whole number"):
        reader(sampler=by_loss(round_size=6))


def test_reading_never_imports_tensorflow_or_tfds():
    program = (
        "import sys; from rkd_jax.data import pipeline, sampling, sources; "
        "s = sources.make_source('synthetic', count=1, size=64); "
        "next(pipeline.Batches(s, sampling.InOrder(1), batch_size=1)); "
        "print('tensorflow' in sys.modules, 'tensorflow_datasets' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]

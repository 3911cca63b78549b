"""A source keeps examples by their bytes, and is read when it is asked."""

import concurrent.futures

import numpy as np
import pytest

from rkd_jax.data.source import CachedSource, unpack_image


def counted(count, *, kept, **options):
    """Return a source of 800-byte examples that keeps some, and what it has made."""
    calls = []

    def make(i):
        calls.append(i)
        return {"a": np.full((5, 5, 2), i, np.int64), "b": np.full(100, i, np.float32)}

    names = [str(i) for i in range(count)]
    megabytes = kept * 800 / 2**20
    return CachedSource(make, names, cache_mb=megabytes, **options), calls


def test_as_many_stay_as_fit():
    source, calls = counted(4, kept=2.5)
    for i in (0, 1, 2, 3, 0, 1, 2, 3):
        assert (source[i]["a"] == i).all()
    assert calls == [0, 1, 2, 3, 2, 3]


@pytest.mark.parametrize("kept", [0, 0.9])
def test_what_does_not_fit_is_made_again(kept):
    source, calls = counted(1, kept=kept)
    source[0], source[0]
    assert calls == [0, 0]


def test_nothing_is_read_before_it_is_asked_for():
    source, calls = counted(3, kept=0)
    assert (len(source), source.names) == (3, ("0", "1", "2"))
    assert source.groups.tolist() == [0, 0, 0]
    assert [int(item["a"].max()) for item in source] == [0, 1, 2]
    assert int(source[-1]["a"].max()) == 2
    assert calls == [0, 1, 2, 2]


def test_threads_read_the_same():
    source, calls = counted(8, kept=3)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: int(source[i % 8]["b"][0]), range(200)))
    assert found == [i % 8 for i in range(200)]
    # The memory is counted right: three of the eight stay.
    made = len(calls)
    for i in range(8):
        source[i]
    assert len(calls) == made + 5


def test_what_is_kept_is_unpacked_on_each_access():
    source, calls = counted(1, kept=1, unpack=lambda kept: {"a": kept["a"] + 1})
    assert source[0].keys() == source[0].keys() == {"a"}
    assert (source[0]["a"] == 1).all()
    assert calls == [0]


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 3)])
def test_images_are_kept_with_8_bits(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = unpack_image({"image": image, "size": 1})
    assert found["image"].dtype == np.float32
    expected = image.reshape(2, 3, -1).astype(np.float64) / 255
    np.testing.assert_allclose(found["image"], expected, atol=1e-7)
    assert found["size"] == 1


def test_each_name_has_a_group():
    with pytest.raises(ValueError, match=r"shape \(1,\).*each of the 2 names"):
        CachedSource(lambda i: {}, ["a", "b"], groups=[0])

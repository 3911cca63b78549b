"""The loop over pairs: each photograph once, bounded memory, errors of one pair."""

import dataclasses
import itertools
import json
import pathlib

import numpy as np
import pytest
from made_pictures import texture
from PIL import Image

from rkd_jax.images.reading import read_image
from rkd_jax.register import main
from rkd_jax.registration import encoder
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.many import (
    Photographs,
    register_each,
    share_a_photograph,
    uses,
)


@dataclasses.dataclass
class Encoded:
    """What the loop reads of a `Photo`: arrays, and pixels that may be dropped."""

    levels: np.ndarray
    original: np.ndarray | None


class Sums:
    """A matcher that counts what it encodes: a photograph's first pixel is its name."""

    def __init__(self):
        self.encoded = []

    def photo(self, path):
        image = read_image(path)
        self.encoded.append(path.stem)
        return Encoded(np.full(1000, image[0, 0], np.uint8), image)


def both(pair, fixed, moving):
    return int(fixed.levels[0]), int(moving.levels[0])


@pytest.fixture
def eyes(tmp_path):
    """Photographs a to e with first pixels 0 to 4."""
    paths = []
    for number, name in enumerate("abcde"):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(np.full((40, 40), number, np.uint8)).save(paths[-1])
    return paths


def pairs_of(paths):
    """Return every two photographs as a pair."""
    chosen = itertools.combinations(paths, 2)
    return [Pair(f"{a.stem}{b.stem}", a, b) for a, b in chosen]


def keys_of(paths):
    return {path: str(path) for path in paths}


def results(matcher, pairs, keys, *, rounds=1, register=both, **bounds):
    photographs, found = Photographs(matcher, **bounds), []
    for number in range(rounds):
        keep = number < rounds - 1
        found = list(register_each(photographs, pairs, keys, register, keep=keep))
    assert not photographs._kept  # nothing is kept that no pair needs
    return [result for _, result in found]


@pytest.mark.parametrize("rounds", [1, 2])
def test_five_photographs_in_ten_pairs_are_encoded_five_times(eyes, rounds):
    matcher = Sums()
    found = results(matcher, pairs_of(eyes), keys_of(eyes), rounds=rounds)
    assert found == list(itertools.combinations(range(5), 2))
    assert matcher.encoded == list("abcde")


@pytest.mark.parametrize("kept", [1, 2, 3, 4, 5])
def test_beyond_the_bound_the_longest_unused_is_encoded_again(eyes, kept):
    """The same as in a list of names, the last used last, without those of the past."""
    order, expected = [], []
    pairs = list(itertools.combinations("abcde", 2))
    for number, pair in enumerate(pairs, start=1):
        needed = set(itertools.chain.from_iterable(pairs[number:]))
        for name in pair:
            expected += [name] if name not in order else []
            order = [n for n in order if n != name]
            order += [name] if name in needed else []
            order = order[-kept:]
    matcher = Sums()
    found = results(matcher, pairs_of(eyes), keys_of(eyes), most_bytes=kept * 1000)
    assert found == list(itertools.combinations(range(5), 2))
    assert matcher.encoded == expected


def test_equal_files_under_two_names_are_one_photograph(eyes):
    matcher = Sums()
    pairs = [Pair("1", eyes[0], eyes[1]), Pair("2", eyes[2], eyes[2])]
    results(matcher, pairs, dict.fromkeys(eyes, "one digest"))
    assert matcher.encoded == ["a"]


def test_what_goes_wrong_with_a_pair_names_its_files(eyes):
    eyes[1].write_bytes(b"no image")

    def register(pair, fixed, moving):
        raise OverflowError("too large")

    with pytest.raises(ValueError, match=r"b\.png"):
        results(Sums(), pairs_of(eyes[:2]), keys_of(eyes))
    with pytest.raises(OverflowError) as caught:
        results(Sums(), pairs_of(eyes[2:4]), keys_of(eyes), register=register)
    assert caught.value.__notes__ == [f"cd: {eyes[2]}, {eyes[3]}"]


def test_pairs_know_which_photographs_later_ones_need(eyes):
    found = list(uses(pairs_of(eyes[:4])))
    assert [use.again for use in found] == [
        (True, True),  # ab
        (True, True),  # ac
        (False, True),  # ad
        (True, True),  # bc
        (False, True),  # bd
        (False, False),  # cd
    ]
    shared = [share_a_photograph(a, b) for a, b in itertools.pairwise(found)]
    assert shared == [True, True, False, True, True]


def test_pairs_of_a_table_get_the_results_that_they_get_alone(tmp_path, monkeypatch):
    eye = texture(0, 200, 220, 3)
    for name, y, x in (("a", 0, 0), ("b", 8, 11), ("c", 15, 4)):
        Image.fromarray(eye[y : y + 180, x : x + 200]).save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    pathlib.Path("list.csv").write_text(
        "fixed,moving\na.png,b.png\na.png,c.png\nb.png,c.png\n"
    )
    how = ["--method", "sift", "--transform", "homography", "--working_size", "200"]
    prepared, prepare = [], encoder.prepare_photo

    def count(source, *more, name):
        prepared.append(name)
        return prepare(source, *more, name=name)

    monkeypatch.setattr(encoder, "prepare_photo", count)
    assert main(["list.csv", *how, "--out", "many"]) == 0
    assert prepared == ["a.png", "b.png", "c.png"]
    for pair in ("a_b", "a_c", "b_c"):
        names = [f"{name}.png" for name in pair.split("_")]
        assert main([*names, *how, "--out", "one"]) == 0
        alone, one_of_many = (
            json.loads(pathlib.Path(folder, "transform.json").read_text())
            for folder in ("one", f"many/{pair}")
        )
        for key in ("transform", "matches", "inliers", "confidence", "evidence"):
            assert one_of_many[key] == alone[key]
        for name in ("matches.png", "registered.png", "overlay.png"):
            here = pathlib.Path("one", name).read_bytes()
            assert pathlib.Path("many", pair, name).read_bytes() == here

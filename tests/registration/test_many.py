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
from rkd_jax.registration.many import Photographs, find_camera, register_each


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


def test_five_photographs_in_ten_pairs_are_encoded_five_times(eyes):
    matcher, pairs = Sums(), pairs_of(eyes)
    photographs = Photographs(matcher, pairs, keys_of(eyes))
    results = list(register_each(photographs, pairs, both))
    assert [found for _, found in results] == list(itertools.combinations(range(5), 2))
    assert matcher.encoded == list("abcde")
    assert not photographs._kept  # nothing is kept that no pair needs


def test_in_two_rounds_they_are_still_encoded_five_times(eyes):
    matcher, pairs = Sums(), pairs_of(eyes)
    photographs = Photographs(matcher, pairs, keys_of(eyes), rounds=2)
    for _ in range(2):
        assert len(list(register_each(photographs, pairs, both))) == 10
    assert matcher.encoded == list("abcde")
    assert not photographs._kept


@pytest.mark.parametrize("kept", [2, 3, 4, 5])
def test_beyond_the_bound_the_longest_unused_is_encoded_again(eyes, kept):
    """The same as in a list of names, the last used last, without those of the past."""
    order, expected = [], []
    pairs = list(itertools.combinations("abcde", 2))
    for number, pair in enumerate(pairs, start=1):
        for name in pair:
            expected += [name] if name not in order else []
            order = [*(n for n in order if n != name), name]
        needed = set(itertools.chain.from_iterable(pairs[number:]))
        order = [name for name in order[-kept:] if name in needed]
    matcher, pairs = Sums(), pairs_of(eyes)
    photographs = Photographs(matcher, pairs, keys_of(eyes), most_bytes=kept * 1000)
    results = [found for _, found in register_each(photographs, pairs, both)]
    assert results == list(itertools.combinations(range(5), 2))
    assert matcher.encoded == expected


def test_equal_files_under_two_names_are_one_photograph(eyes):
    matcher = Sums()
    pairs = [Pair("1", eyes[0], eyes[1]), Pair("2", eyes[2], eyes[2])]
    keys = dict.fromkeys(eyes, "one digest")
    list(register_each(Photographs(matcher, pairs, keys), pairs, both))
    assert matcher.encoded == ["a"]


def test_photographs_of_finished_pairs_are_not_read(eyes):
    matcher, pairs = Sums(), pairs_of(eyes)
    known = {pair.name: "finished" for pair in pairs if "e" not in pair.name}
    photographs = Photographs(matcher, pairs, keys_of(eyes))
    results = dict(
        register_each(photographs, pairs, both, known=lambda p: known.get(p.name))
    )
    assert [pair.name for pair in results] == [pair.name for pair in pairs]
    assert results[pairs[0]] == "finished"
    assert results[pairs[3]] == (0, 4)
    assert matcher.encoded == ["a", "e", "b", "c", "d"]


def test_an_error_is_of_its_pair_and_names_its_files(eyes):
    eyes[1].write_bytes(b"no image")
    matcher, pairs = Sums(), pairs_of(eyes[:3])

    def register(pair, fixed, moving):
        raise OverflowError("too large")

    photographs = Photographs(matcher, pairs, keys_of(eyes))
    found = dict(register_each(photographs, pairs, register))
    assert all(isinstance(error, Exception) for error in found.values())
    assert "b.png" in str(found[pairs[0]])
    assert found[pairs[1]].__notes__ == [f"ac: {eyes[0]}, {eyes[2]}"]
    photographs = Photographs(matcher, pairs, keys_of(eyes))
    with pytest.raises(ValueError, match=r"b\.png"):
        list(register_each(photographs, pairs, register, stop_on_error=True))


def test_a_pair_that_fails_has_no_say_in_the_camera(eyes, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "rkd_jax.registration.many.calibrate", lambda found: seen.extend(found)
    )
    monkeypatch.setattr("rkd_jax.registration.many.Registration", tuple)
    eyes[1].write_bytes(b"no image")
    pairs = pairs_of(eyes[:3])
    find_camera(Photographs(Sums(), pairs, keys_of(eyes)), pairs, both)
    assert seen == [(0, 2)]


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

"""Readers on mutated files: a result, or an error of ours that names the file.

`tools/fuzz_readers.py` does the same at length. A failure here is repeated by
`python tools/fuzz_readers.py --seed 0 --formats NAME --first NUMBER --count 1`.
"""

import logging
import re
import subprocess
import sys

import fuzz_formats
import fuzz_readers
import numpy as np
import pytest
from fuzzing import Format, Outcome, attempt, mutate

IMAGES = 300
TEXTS = 200
STORED = 60


@pytest.fixture(autouse=True)
def _no_log(monkeypatch):
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)


@pytest.fixture(scope="module")
def others():
    return [seed for form in fuzz_formats.image_formats() for seed in form.seeds]


def all_outcomes(form, count, folder, others):
    for seed in form.seeds:
        outcome = attempt(form, seed, folder)
        assert outcome.kind == ("refused" if form.refused else "read"), outcome.text
    found = []
    for number in range(count):
        outcome = attempt(form, mutate(form, number, 0, others), folder)
        if outcome.kind == "failed":
            found.append(f"{number}: {outcome.text[:300]}")
    assert not found


@pytest.mark.parametrize("form", fuzz_formats.image_formats(), ids=lambda f: f.name)
def test_images(form, tmp_path, others):
    all_outcomes(form, IMAGES, tmp_path, others)


@pytest.mark.parametrize(
    "form", fuzz_formats.text_formats(), ids=lambda form: form.name
)
def test_texts(form, tmp_path, others):
    all_outcomes(form, TEXTS, tmp_path, others)


@pytest.fixture(scope="module")
def stored():
    return {form.name: form for form in fuzz_formats.stored_formats()}


@pytest.mark.parametrize("name", ["weights", "predictions", "face predictions"])
def test_stored(name, tmp_path, others, stored):
    form = stored[name]
    all_outcomes(form, STORED, tmp_path, others)


class TestFuzzing:
    """The fuzzer sees what it is to see."""

    def form(self, read, seed=b"0123456789" * 20):
        return Format("made", ".bin", [seed], read)

    def test_judgement(self, tmp_path):
        def raising(error):
            def read(path):
                raise error(f"{path}: reason")

            return self.form(read)

        assert attempt(self.form(int), b"", tmp_path).kind == "failed"  # TypeError
        assert attempt(self.form(str), b"", tmp_path) == Outcome("read")
        for error, kind in (
            *((ValueError, "refused"), (FileNotFoundError, "refused")),
            *((KeyError, "failed"), (OverflowError, "failed"), (UserWarning, "failed")),
        ):
            assert attempt(raising(error), b"", tmp_path).kind == kind

        def unnamed(path):
            raise ValueError("reason")

        assert attempt(self.form(unnamed), b"", tmp_path).text.startswith("names no")

    def test_mutations_are_many_and_can_be_made_again(self):
        form = self.form(str)
        made = [mutate(form, number, 3, [b"other" * 9]) for number in range(200)]
        assert made == [mutate(form, n, 3, [b"other" * 9]) for n in range(200)]
        assert len(set(made)) > 190
        assert made != [mutate(form, n, 4, [b"other" * 9]) for n in range(200)]
        lengths = np.array([len(data) for data in made])
        assert (lengths < 200).any()
        assert (lengths > 200).any()

    def test_checksums_of_png_are_mended(self, tmp_path):
        (form,) = (f for f in fuzz_formats.image_formats() if f.name == "png")
        texts = [
            attempt(form, mutate(form, number, 0, [b"x"]), tmp_path).text
            for number in range(100)
        ]
        assert any("broken data stream" in text for text in texts)

    @pytest.mark.slow
    def test_the_tool_counts(self):
        line = [sys.executable, fuzz_readers.__file__, "--count", "40"]
        done = subprocess.run(
            [*line, "--formats", "bmp", "gif"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"bmp +20 .*\ngif +20 ", done.stdout)
        assert "40 tries with seed 1" in done.stdout

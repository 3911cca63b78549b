"""Many images: by several processes, and stopped before the end."""

import csv
import multiprocessing
import os
import signal

import pytest
from made_classifiers import save_untrained
from made_eyes import draw_eye
from PIL import Image

from rkd_jax.classification import outputs
from rkd_jax.classification.classifier import Classifier
from rkd_jax.classify import main

COUNT = 5


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with images, weights, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("alone")
    save_untrained(folder / "w.safetensors")
    (folder / "images").mkdir()
    for number in range(COUNT):
        image = draw_eye(0.3 + 0.02 * number)
        Image.fromarray(image).save(folder / f"images/eye{number}.png")
    (folder / "images/eye9.png").write_bytes(b"no image")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(".") == 2  # the broken image
    return folder


@pytest.fixture
def work(alone, tmp_path, monkeypatch):
    """An empty current folder with the same images, by the same relative paths."""
    monkeypatch.chdir(tmp_path)
    for name in ("images", "w.safetensors"):
        os.symlink(alone / name, name)
    return tmp_path


def run(out, *flags):
    words = ["images", "--weights", "w.safetensors", "--out", f"{out}/table.csv"]
    words += ["--explain", f"{out}/why", "--compilation_cache_dir", ""]
    return main([*words, *flags])


def contents(folder):
    files = [folder / "table.csv", *sorted((folder / "why").glob("*.png"))]
    return {file.name: file.read_bytes() for file in files}


def names(folder):
    with open(folder / "table.csv", newline="", encoding="utf-8") as file:
        return [row["name"] for row in csv.DictReader(file)]


def hidden(folder):
    found = {path.name for path in folder.rglob(".*")}
    return found - {".rkd_jax_files.jsonl"}


def test_two_processes_write_what_one_does(alone, work):
    before = set(multiprocessing.active_children())
    assert run(".", "--jobs", "2") == 2
    assert contents(work) == contents(alone)
    assert len(contents(work)) == 1 + COUNT
    assert not hidden(work)
    assert not set(multiprocessing.active_children()) - before


@pytest.mark.parametrize(
    ("number", "status", "workers"),
    [
        (signal.SIGINT, 130, []),
        (signal.SIGTERM, 143, []),
        (signal.SIGTERM, 143, ["--jobs", "2"]),
    ],
)
def test_a_stopped_command_goes_on(
    alone, work, monkeypatch, capsys, number, status, workers
):
    before = set(multiprocessing.active_children())
    printed, asked = [], []
    json_of, classify = outputs.json_of, Classifier.classify

    def stop_at_the_second(row):
        printed.append(row["name"])
        if len(printed) == 2:
            os.kill(os.getpid(), number)
        return json_of(row)

    def count(self, *given, **more):
        asked.append(1)
        return classify(self, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(outputs, "json_of", stop_at_the_second)
        assert run(".", "--json", *workers) == status
    message = f"stopped before {COUNT - 1} images; start again to go on"
    assert message in capsys.readouterr().err
    assert names(work) == printed == ["eye0", "eye1"]
    assert not set(multiprocessing.active_children()) - before
    monkeypatch.setattr(Classifier, "classify", count)
    assert run(".", "--json") == 2
    assert len(asked) == COUNT - 2
    assert contents(work) == contents(alone)
    assert not hidden(work)

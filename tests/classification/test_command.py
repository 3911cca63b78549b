"""The command `rkd_jax.classify`, in this process, with an untrained network."""

import csv
import json

import cv2
import numpy as np
import pytest
from made_classifiers import CLASSES, save_untrained
from made_eyes import draw_eye
from PIL import Image

from rkd_jax.classification.classifier import Classifier, load_classifier
from rkd_jax.classification.embedding import fit_embedding
from rkd_jax.classification.explanation import draw_explanation
from rkd_jax.classify import main


def _save(path, image):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    for number, scale in enumerate((0.3, 0.4)):
        _save(tmp_path / "photographs" / f"eye{number}.png", draw_eye(scale))
    return tmp_path / "photographs"


@pytest.fixture
def weights(tmp_path):
    features = np.random.default_rng(0).normal(size=(30, 6))
    embedding = fit_embedding(features, np.arange(30) % 3, 3)
    return save_untrained(tmp_path / "w.safetensors", embedding=embedding)


@pytest.fixture
def classified(monkeypatch):
    """Count the images that the network is asked about."""
    calls = []
    real = Classifier.classify

    def classify(self, image, **options):
        calls.append(options)
        return real(self, image, **options)

    monkeypatch.setattr(Classifier, "classify", classify)
    return calls


def _rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _go(*arguments):
    return main([*map(str, arguments), "--compilation_cache_dir", ""])


def test_the_table_has_what_the_classifier_says(folder, weights, tmp_path, capsys):
    out = tmp_path / "new" / "table.csv"
    assert _go(folder, "--weights", weights, "--out", out) == 0
    shown = capsys.readouterr().out.splitlines()
    classifier = load_classifier(weights)
    for number, row in enumerate(_rows(out)):
        path = folder / f"eye{number}.png"
        found = classifier.classify(path)
        assert (row["name"], row["path"]) == (f"eye{number}", str(path))
        assert (row["status"], row["reason"]) == ("done", "")
        assert row["predicted"] == found.predicted
        each = [float(row[f"p_{name}"]) for name in CLASSES]
        np.testing.assert_allclose(each, found.probabilities, atol=1e-5)
        assert float(row["probability"]) == max(each)
        assert float(row["distance"]) == pytest.approx(found.distance, abs=6e-4)
        share = f"{found.distance_quantile:.0%}"
        assert float(row["distance_quantile"]) == pytest.approx(
            found.distance_quantile, abs=6e-4
        )
        assert row["weights_sha256"] == classifier.weights.sha256
        assert shown[number].startswith(f"{path}: {found.predicted}, probability ")
        end = f", farther than {share} of the validation images"
        assert shown[number].endswith(end)
    assert len(_rows(out)) == len(shown) == 2


def test_one_image_and_weights_that_know_no_distance(folder, tmp_path, capsys):
    out = tmp_path / "one.csv"
    how = ("--weights", save_untrained(tmp_path / "w.safetensors"), "--out", out)
    assert _go(folder / "eye1.png", *how, "--json") == 0
    (row,) = _rows(out)
    assert row["name"] == "eye1"
    assert row["distance"] == row["distance_quantile"] == ""
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert said["distance"] is None
    assert said["probability"] == max(said["probabilities"].values())
    assert list(said["probabilities"]) == list(CLASSES)


def test_explanations_are_drawn(folder, weights, tmp_path):
    out, pictures = tmp_path / "table.csv", tmp_path / "why"
    how = ("--weights", weights, "--out", out, "--explain", pictures)
    assert _go(folder, *how) == 0
    assert sorted(p.name for p in pictures.glob("*.png")) == ["eye0.png", "eye1.png"]
    image = cv2.imread(str(folder / "eye0.png"))[..., ::-1]
    found = load_classifier(weights).classify(image, explain=True)
    drawn = cv2.imread(str(pictures / "eye0.png"))[..., ::-1]
    np.testing.assert_array_equal(drawn, draw_explanation(image, found))


def test_finished_images_are_skipped(folder, weights, tmp_path, classified):
    out, pictures = tmp_path / "table.csv", tmp_path / "why"
    how = ("--weights", weights, "--out", out)
    assert _go(folder, *how) == 0
    first = out.read_bytes()
    assert _go(folder, *how) == 0
    assert len(classified) == 2
    assert out.read_bytes() == first
    _save(folder / "eye1.png", draw_eye(0.5))
    _save(folder / "eye2.png", draw_eye(0.6))
    assert _go(folder, *how) == 0
    assert len(classified) == 4
    rows = _rows(out)
    assert [row["name"] for row in rows] == ["eye0", "eye1", "eye2"]
    assert out.read_bytes().splitlines()[1] == first.splitlines()[1]
    # Pictures that are not there are drawn; other weights do all again.
    assert _go(folder, *how, "--explain", pictures) == 0
    (pictures / "eye0.png").unlink()
    assert _go(folder, *how, "--explain", pictures) == 0
    assert len(classified) == 4 + 3 + 1
    hot = save_untrained(tmp_path / "hot.safetensors", temperature=3.0)
    how = ("--weights", hot, "--out", out)
    assert _go(folder, *how) == 0
    assert len(classified) == 11
    # The pictures are still those of the first weights.
    assert _go(folder, *how, "--explain", pictures) == 0
    assert _go(folder, *how, "--explain", pictures) == 0
    assert len(classified) == 14


def test_a_broken_file_is_a_row(folder, weights, tmp_path, capsys):
    (folder / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "table.csv"
    assert _go(folder, "--weights", weights, "--out", out) == 2
    assert "broken.jpg" in capsys.readouterr().err
    rows = _rows(out)
    assert [row["status"] for row in rows] == ["error", "done", "done"]
    assert "broken.jpg" in rows[0]["reason"]
    assert rows[0]["predicted"] == ""
    (folder / "broken.jpg").unlink()
    assert _go(folder, "--weights", weights, "--out", out) == 0
    assert len(_rows(out)) == 2


def test_a_table_of_images(folder, weights, tmp_path):
    table = tmp_path / "list.csv"
    table.write_text("name,image\nleft,photographs/eye0.png\nright,gone.png\n")
    out = tmp_path / "table.csv"
    assert _go(table, "--weights", weights, "--out", out) == 2
    left, right = _rows(out)
    assert (left["name"], left["status"]) == ("left", "done")
    assert "no such image file" in right["reason"]


def test_files_of_a_user_stay(folder, weights, tmp_path, capsys):
    out, pictures = tmp_path / "table.csv", tmp_path / "why"
    pictures.mkdir()
    (pictures / "eye0.png").write_text("mine")
    how = ("--weights", weights, "--out", out)
    assert _go(folder, *how, "--explain", pictures) == 2
    assert "eye0.png: rkd_jax would replace this file" in capsys.readouterr().err
    assert not out.exists()
    assert _go(folder, *how, "--explain", folder) == 2
    assert "which it is to read" in capsys.readouterr().err
    out.write_text("mine")
    assert _go(folder, *how) == 2
    assert out.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "table"], "table: --out must be a file whose name ends in .csv"),
        (["--weights", "none"], "none: no such weight file"),
        (["--weights", "small"], "these weights name no classes"),
        (["--explain", "w.safetensors"], "--explain must be a folder, found a file"),
        (["--jobs", "2"], "--jobs 2: there is one image only"),
    ],
)
def test_bad_arguments(
    folder, weights, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    how = ["--weights", weights, "--out", "table.csv", *arguments]
    assert _go(folder / "eye0.png", *how) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "table.csv").exists()

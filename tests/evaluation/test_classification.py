"""`evaluate classification` with untrained networks: scores, files, refusals."""

import csv
import dataclasses
import functools
import json

import numpy as np
import pytest
from made_classes import table
from made_classifiers import CLASSES, save_untrained
from PIL import Image
from sklearn import metrics

import rkd_jax
from rkd_jax.classification.classifier import Classifier
from rkd_jax.classification.embedding import fit_embedding
from rkd_jax.data.class_data import ClassData, Labeled
from rkd_jax.evaluate import main
from rkd_jax.evaluation import (
    classification_data,
    classification_scores,
    classification_tables,
)
from rkd_jax.evaluation.classification_predictions import load_predictions

COUNT = 20  # more than a batch


def label_of(number):
    return CLASSES[number % 2 * (1 + number % 3 // 2)]


def write_image(path, number):
    """Write noise of one color, by which untrained networks differ."""
    rng = np.random.default_rng(number)
    pixels = rng.uniform(0, 255, 3) + rng.normal(0, 40, (40, 48, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.uint8(np.clip(pixels, 0, 255))).save(path)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Pictures, of which two each are of one patient, and their table."""
    folder = tmp_path_factory.mktemp("data")
    rows = ["id,grade,patient"]
    for number in range(COUNT):
        write_image(folder / "images" / f"{number}.png", number)
        rows.append(f"{number},{label_of(number)},p{number // 2}")
    table(folder / "labels.csv", *rows)
    return folder


@functools.cache
def _embedding():
    features = np.random.default_rng(0).normal(1, 0.1, size=(30, 6))
    return fit_embedding(features, np.arange(30) % 3, 3)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    how = {"ordered": True, "temperature": 2.0, "embedding": _embedding()}
    names = ("teacher", "student", "third")
    return {
        name: save_untrained(folder / f"{name}.safetensors", seed, **how)
        for seed, name in enumerate(names)
    }


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Few draws, and pictures that are not drawn: `finished` has real ones."""
    monkeypatch.setattr(classification_scores.bootstrap, "RESAMPLES", 60)
    monkeypatch.setattr(classification_tables.charts, "png", lambda figure: b"drawn")


def run(root, out, *weights, more=()):
    words = ["classification", "--data_dir", root / "images", "--out", out]
    words += ["--labels", root / "labels.csv", "--weights", *weights]
    words += ["--image_column", "id", "--class_column", "grade"]
    words += ["--group_column", "patient", "--compilation_cache_dir", "", *more]
    return main([str(word) for word in words])


@pytest.fixture(scope="module")
def finished(root, files, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    rows = [f"{name}={files[name]}" for name in ("teacher", "student")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification_scores.bootstrap, "RESAMPLES", 60)
        assert run(root, out, *rows) == 0
    return out


def scored(out):
    return json.loads((out / "metrics.json").read_text())


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def truth(root, file):
    """Return labels and probabilities by the classifier itself."""
    classifier = rkd_jax.load_classifier(file)
    paths = [root / "images" / f"{n}.png" for n in range(COUNT)]
    found = [classifier.classify(path) for path in paths]
    labels = [CLASSES.index(label_of(n)) for n in range(COUNT)]
    return np.array(labels), np.stack([one.probabilities for one in found]), found


def test_scores_are_those_of_the_classifier(root, files, finished):
    written = scored(finished)
    assert written["row"] == "teacher"
    assert list(written["rows"]) == ["teacher", "student"]
    for row, numbers in written["rows"].items():
        labels, given, _ = truth(root, files[row])
        predicted = given.argmax(axis=1)
        assert len(set(predicted)) > 1
        assert numbers["accuracy"] == metrics.accuracy_score(labels, predicted)
        assert numbers["quadratic_kappa"] == pytest.approx(
            metrics.cohen_kappa_score(labels, predicted, weights="quadratic")
        )
        assert numbers["auc_ovr"] == pytest.approx(
            metrics.roc_auc_score(labels, given, multi_class="ovr"), abs=1e-3
        )
        truths = np.eye(3)[labels]
        assert numbers["brier"] == pytest.approx(
            ((given - truths) ** 2).sum(axis=1).mean(), rel=1e-3
        )
        low, high = numbers["intervals"]["accuracy"]
        assert low <= numbers["accuracy"] <= high
        assert (
            numbers["confusion"]
            == metrics.confusion_matrix(labels, predicted, labels=range(3)).tolist()
        )
    assert written["accuracy"] == written["rows"]["teacher"]["accuracy"]
    assert (written["images"], written["groups"]) == (COUNT, COUNT // 2)
    assert sum(written["class_counts"].values()) == COUNT


def test_every_image_is_listed(root, files, finished):
    rows = read_csv(finished / "images.csv")
    assert [row["row"] for row in rows] == ["teacher"] * COUNT + ["student"] * COUNT
    labels, given, found = truth(root, files["teacher"])
    for number, (row, one) in enumerate(zip(rows, found)):
        assert row["image"] == str(number)
        assert row["group"] == f"p{number // 2}"
        assert (row["class"], row["predicted"]) == (label_of(number), one.predicted)
        assert row["right"] == str(int(label_of(number) == one.predicted))
        each = [float(row[f"p_{name}"]) for name in CLASSES]
        np.testing.assert_allclose(each, given[number], atol=2e-4)
        assert float(row["distance"]) == pytest.approx(one.distance, rel=1e-3)
    classes = read_csv(finished / "classes.csv")
    assert [row["class"] for row in classes] == list(CLASSES) * 2
    counts = [int(row["images"]) for row in classes[:3]]
    assert counts == np.bincount(labels, minlength=3).tolist()


def test_one_row_is_compared_with_another(finished):
    written = scored(finished)
    (one,) = written["differences"]
    assert (one["first"], one["second"]) == ("student", "teacher")
    rows = written["rows"]
    for name, gain in one["difference"].items():
        assert gain == pytest.approx(rows["student"][name] - rows["teacher"][name])
        low, high = one["intervals"][name]
        assert low <= high
    assert read_csv(finished / "differences.csv")[0]["first"] == "student"


def test_pictures_are_written(finished):
    for row in ("", "_student"):
        for kind in ("confusion", "roc", "reliability"):
            with Image.open(finished / f"{kind}{row}.png") as drawn:
                assert min(drawn.size) > 300


def test_only_what_is_not_there_is_predicted(
    root, files, tmp_path, monkeypatch, capsys
):
    asked = []
    real = Classifier.square_of

    def square_of(self, image):
        asked.append(self.weights.sha256)
        return real(self, image)

    monkeypatch.setattr(Classifier, "square_of", square_of)
    out, one = tmp_path / "out", f"a={files['teacher']}"
    short = tmp_path / "list.txt"
    short.write_text("".join(f"{n}\n" for n in range(5)))
    assert run(root, out, one, more=["--images", short]) == 0
    assert len(asked) == 5
    assert scored(out)["images"] == 5
    assert run(root, out, one) == 0
    assert len(asked) == COUNT
    first = (out / "metrics.json").read_bytes()
    two = f"b={files['student']}"
    assert run(root, out, one, two) == 0
    assert len(asked) == 2 * COUNT
    assert (out / "roc_b.png").exists()
    assert run(root, out, one) == 0
    assert len(asked) == 2 * COUNT
    assert (out / "metrics.json").read_bytes() == first
    assert not (out / "roc_b.png").exists()
    assert not (out / "differences.csv").exists()
    assert set(load_predictions(out / "predictions.npz")[1]) == {"a", "b"}
    capsys.readouterr()
    other = f"a={files['third']}"
    assert run(root, out, other) == 2
    assert "predictions from other settings (a:" in capsys.readouterr().err
    assert run(root, out, other, more=["--overwrite"]) == 0
    assert len(asked) == 3 * COUNT
    assert scored(out)["settings"]["a"]["weights_sha256"] == asked[-1]


def test_a_class_without_images_is_said(root, files, tmp_path, capsys):
    chosen = [n for n in range(COUNT) if label_of(n) != "many"]
    short = tmp_path / "list.txt"
    short.write_text("".join(f"{n}\n" for n in chosen))
    out = tmp_path / "out"
    assert run(root, out, files["teacher"], more=["--images", short]) == 0
    assert "no image of class many: averages are over the" in capsys.readouterr().out
    written = scored(out)
    assert (written["row"], written["absent_classes"]) == ("weights", ["many"])
    assert written["classes"]["many"]["auc"] is None
    labels, given, _ = truth(root, files["teacher"])
    predicted = given.argmax(axis=1)[chosen]
    recall = [np.mean(predicted[labels[chosen] == one] == one) for one in (0, 1)]
    assert written["balanced_accuracy"] == pytest.approx(np.mean(recall))


def test_folders_by_class_and_the_fold_that_is_scored(files, tmp_path):
    for number in range(12):
        part = "test" if number < 8 else "train"
        write_image(
            tmp_path / "data" / part / CLASSES[number % 3] / f"{number}.png", number
        )
    words = ["classification", "--data_dir", tmp_path / "data"]
    words += ["--weights", files["teacher"], "--compilation_cache_dir", ""]
    for more, count in (([], 8), (["--fold", "train"], 4)):
        out = tmp_path / f"out{count}"
        assert main([str(word) for word in [*words, "--out", out, *more]]) == 0
        assert scored(out)["images"] == scored(out)["groups"] == count


def test_the_fold_of_a_table(root, files, tmp_path, capsys):
    folds = ["Training", "Validation", "Test", "Test"]

    def listed(*folds):
        rows = [f"{n},{label_of(n)},p{n},{fold}" for n, fold in enumerate(folds)]
        head = "id,grade,patient,Split"
        return ["--labels", table(tmp_path / "own.csv", head, *rows)]

    own = [*listed(*folds), "--fold_column", "split"]
    for more, names in (
        ([], ["2", "3"]),
        (["--fold", "validation"], ["1"]),
        (["--split_seed", 0, "--fold", "Valid"], ["1"]),
    ):
        out = tmp_path / "-".join(map(str, ["out", *more]))
        assert run(root, out, files["teacher"], more=[*own, *more]) == 0
        assert [row["image"] for row in read_csv(out / "images.csv")] == names
    capsys.readouterr()
    own = [*listed("0", "1", "2"), "--fold_column", "split"]
    assert run(root, tmp_path / "no", files["teacher"], more=own) == 2
    assert "the folds 0, 1, 2, and none is test; say which" in capsys.readouterr().err


def test_the_part_that_training_held_out_is_scored(root, files, tmp_path):
    from rkd_jax.tasks.classification import ClassificationData, data

    own = ClassificationData(
        kind="table",
        data_dir=str(root / "images"),
        table=str(root / "labels.csv"),
        image_column="id",
        class_column="grade",
        group_column="patient",
        split_seed=3,
    )
    ways = {
        "usual": ({}, []),
        "shares": ({"shares": (2, 1, 1)}, ["--shares", 2, 1, 1]),
        "folds": ({"folds": 3, "fold": 1}, ["--cross_validation", 3, 1]),
    }
    seen = set()
    for name, (change, more) in ways.items():
        parts = data.parts(dataclasses.replace(own, **change))
        out, more = tmp_path / name, ["--split_seed", 3, *more]
        assert run(root, out, files["teacher"], more=more) == 0
        names = [row["image"] for row in read_csv(out / "images.csv")]
        assert sorted(names) == sorted(parts["test"].names)
        assert not set(parts["test"].groups) & set(parts["train"].groups)
        seen.add(tuple(names))
    assert len(seen) == 3


def test_a_score_of_training_images_is_noted(root, tmp_path, capsys):
    recipe = {"config": {"data": {"data_dir": "images"}}}
    file = save_untrained(tmp_path / "a.safetensors", recipe=recipe)
    for more, noted in (([], True), (["--split_seed", 0], False)):
        assert run(root, tmp_path / "out", file, more=more) == 0
        assert ("was trained on part of" in capsys.readouterr().out) == noted


def test_another_column_of_folds(root, files, tmp_path):
    rows = [f"{n},{label_of(n)},{'test' if n < 4 else 'train'}" for n in range(COUNT)]
    labels = tmp_path / "parts.csv"
    table(labels, "id,grade,part", *rows)
    words = ["classification", "--data_dir", root / "images", "--labels", labels]
    words += ["--image_column", "id", "--class_column", "grade"]
    words += ["--fold_column", "part", "--weights", files["teacher"]]
    words += ["--out", tmp_path / "out", "--compilation_cache_dir", ""]
    assert main([str(word) for word in words]) == 0
    names = [row["image"] for row in read_csv(tmp_path / "out" / "images.csv")]
    assert sorted(names) == ["0", "1", "2", "3"]


def test_means_over_seeds(root, files, tmp_path, capsys):
    names = ("ce_0", "ce_1", "full_0", "full_1")
    rows = [
        f"{row}={files[name]}"
        for row, name in zip(names, ("teacher", "student", "third", "student"))
    ]
    assert run(root, tmp_path, *rows, more=["--average_seeds"]) == 0
    assert "full less ce: bal.acc." in capsys.readouterr().out
    content = scored(tmp_path)
    means = {line["recipe"]: line for line in read_csv(tmp_path / "seeds.csv")}
    assert list(means) == ["ce", "full"]
    for recipe, runs in (("ce", names[:2]), ("full", names[2:])):
        values = [content["rows"][row]["macro_f1"] for row in runs]
        assert content["seeds"][recipe]["macro_f1"] == pytest.approx(np.mean(values))
        assert float(means[recipe]["macro_f1"]) == pytest.approx(
            np.mean(values), abs=1e-5
        )
    (gain,) = read_csv(tmp_path / "seed_differences.csv")
    assert (gain["first"], gain["second"]) == ("full", "ce")
    # Without the flag, the tables of means are gone.
    assert run(root, tmp_path, *rows) == 0
    assert not (tmp_path / "seeds.csv").exists()
    assert "seeds" not in scored(tmp_path)


def test_labels_follow_the_names_of_the_weights():
    items = [
        Labeled(n, lambda: np.zeros((8, 8), np.uint8), k, n, where=f"row {n}")
        for n, k in (("a", 0), ("b", 1))
    ]
    data = ClassData(tuple(items), ("many", "none"))
    assert classification_data.in_classes(data, CLASSES).labels.tolist() == [2, 0]
    with pytest.raises(
        ValueError, match="row b: b has class 'none', which the weights"
    ):
        classification_data.in_classes(data, ("many", "few"))
    first, second = map(classification_data.digest_of, items)
    assert first == second


@pytest.mark.parametrize(
    ("weights", "more", "message"),
    [
        (["a=teacher", "a=student"], [], "the name 'a' is taken"),
        (["teacher", "student"], [], "expected NAME=FILE"),
        (["none.safetensors"], [], "no such weight file"),
        (["small"], [], "these weights name no classes"),
        (["a=teacher", "b=other"], [], "classes x, y, z; expected those of"),
        (["other"], [], "line 2: 0 has class 'none', which the weights were not train"),
        (["teacher"], ["--layout", "stars"], "unknown layout 'stars'; known: table"),
        (["teacher"], ["--fold", "val"], "no fold 'val'"),
        (["teacher"], ["--fold", "3", "--split_seed", "0"], "one of train, val, test"),
        (
            ["a_0=teacher", "a_1=student", "b_0=third"],
            ["--average_seeds"],
            "b has the seeds 0, a 0, 1; give the same of each",
        ),
        (["a=teacher"], ["--average_seeds"], "the row 'a' has no seed in its name"),
        (["teacher"], ["--shares", "1", "1", "2"], "give it as well"),
        (["teacher"], ["--split_seed", "0", "--shares", "1", "1", "0"], "above 0"),
        (
            ["teacher"],
            ["--split_seed", "0", "--cross_validation", "3", "3"],
            "--cross_validation 3 3: expected at least 2 folds",
        ),
        (["teacher"], ["--image_column", "name"], "no column 'name'"),
        (["teacher"], ["--images", "none.txt"], "none.txt: no such file"),
        (["teacher"], ["--images", "list.txt"], "list.txt: no images ['x']; there are"),
        (["teacher"], ["--labels", "unknown.csv"], "line 3: no image 99 in"),
        (["teacher"], ["--labels", "twice.csv"], "line 3: image 1 is listed already"),
    ],
)
def test_bad_arguments(
    root, files, tmp_path, monkeypatch, capsys, weights, more, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("x\n")
    head = "id,grade,patient"
    table(tmp_path / "unknown.csv", head, "1,none,p1", "99,some,p2")
    table(tmp_path / "twice.csv", head, "1,none,p1", "1,none,p1")
    paths = dict(files)
    paths["other"] = save_untrained(
        tmp_path / "other.safetensors", classes=("x", "y", "z")
    )
    named = []
    for text in weights:
        name, _, file = text.rpartition("=")
        named.append(f"{name}={paths[file]}" if name else str(paths.get(file, file)))
    assert run(root, "out", *named, more=more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_files_of_a_user_stay(root, files, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "roc.png").write_text("mine")
    assert run(root, out, files["teacher"]) == 2
    assert "roc.png: rkd_jax would replace this file" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["roc.png"]
    (out / "roc.png").unlink()
    (out / "predictions.npz").write_text("mine")
    assert run(root, out, files["teacher"]) == 2
    assert "not a complete file of predictions" in capsys.readouterr().err

"""`evaluate classification` on prepared data sets."""

import csv

import pytest
from made_classes import picture, table, write_idrid
from made_classifiers import save_untrained

from rkd_jax.data import builders
from rkd_jax.data.class_layouts import GRADES
from rkd_jax.evaluate import main
from rkd_jax.evaluation import classification_scores, classification_tables
from rkd_jax.tasks.classification import ClassificationData, data

tfds = pytest.importorskip("tensorflow_datasets")


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few draws, no pictures, no bars."""
    tfds.disable_progress_bar()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classification_scores.bootstrap, "RESAMPLES", 20)
        patch.setattr(classification_tables.charts, "png", lambda figure: b"drawn")
        yield
    tfds.enable_progress_bar()


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Thirty images in the layout of APTOS 2019."""
    root = tmp_path_factory.mktemp("raw")
    rows = [f"a{n},{n % 5}" for n in range(30)]
    table(root / "train.csv", "id_code,diagnosis", *rows)
    for n in range(30):
        picture(root / f"train_images/a{n}.png", n)
    return root


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory):
    """A folder of prepared data sets: APTOS 2019 and IDRiD's grades."""
    root = tmp_path_factory.mktemp("prepared")
    idrid = write_idrid(tmp_path_factory.mktemp("idrid"))
    for name, folder in (("aptos2019", raw), ("idrid", idrid)):
        builders.build(name, raw_dir=folder, data_dir=root).download_and_prepare()
    return root


def run(folder, out, *more):
    weights = save_untrained(out.parent / "weights.safetensors", classes=GRADES)
    words = ["classification", "--data_dir", folder, "--out", out]
    words += ["--weights", weights, "--compilation_cache_dir", "", *more]
    return main([str(word) for word in words])


def images(out):
    with open(out / "images.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_part_that_training_held_out_is_scored(raw, prepared, tmp_path):
    """It is the part of the files that were prepared, with the same scores."""
    own = ClassificationData(
        kind="tfds", data_dir=str(prepared), name="aptos2019", split_seed=3
    )
    parts = data.parts(own)
    found = {}
    for folder, *more in (
        (raw, "--layout", "aptos2019"),
        (prepared, "--layout", "tfds", "--name", "aptos2019"),
    ):
        out = tmp_path / folder.name
        assert run(folder, out, *more, "--split_seed", 3) == 0
        found[folder] = images(out)
    assert sorted(row["image"] for row in found[prepared]) == sorted(
        parts["test"].names
    )
    assert 1 < len(found[prepared]) < 30
    assert found[prepared] == found[raw]


@pytest.mark.parametrize(("fold", "count"), [("", 1), ("train", 2)])
def test_splits_are_folds(prepared, tmp_path, fold, count):
    """Without --fold the published test part is scored."""
    more = ["--fold", fold] if fold else []
    more += ["--layout", "tfds", "--name", "idrid"]
    assert run(prepared, tmp_path / "out", *more) == 0
    names = [row["image"] for row in images(tmp_path / "out")]
    start = fold or "test"
    assert names == [f"{start}/IDRiD_00{n}" for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--layout", "tfds"], "layout 'tfds' without --name"),
        (["--name", "aptos2019"], "layout 'folders' with --name"),
        (["--layout", "tfds", "--name", "hrf"], "hrf: no prepared data set here"),
        (
            ["--layout", "tfds", "--name", "idrid", "--class_column", "x"],
            "leave out --labels and columns",
        ),
        (["--layout", "tfds", "--name", "idrid", "--fold", "val"], "no fold 'val'"),
        (["--layout", "stars"], "known: table, folders, medmnist, ham10000, aptos2019"),
    ],
)
def test_bad_arguments(prepared, tmp_path, capsys, more, message):
    assert run(prepared, tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

"""Published layouts, made up in small."""

import shutil

import pytest
from made_classes import (
    picture,
    table,
    touch,
    write_aptos2019,
    write_eyepacs,
    write_ham10000,
    write_idrid,
)

from rkd_jax.data import class_layouts as layouts
from rkd_jax.data.class_data import check_apart


@pytest.mark.parametrize("parts", [None, ("images",), ("one", "two")])
def test_ham10000(tmp_path, parts):
    options = {} if parts is None else {"parts": parts}
    data = layouts.read("ham10000", write_ham10000(tmp_path, **options))
    assert data.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert data.names == ("ISIC_3", "ISIC_1", "ISIC_2", "ISIC_4")
    assert data.groups == ("HAM_2", "HAM_1", "HAM_1", "HAM_3")
    assert [data.classes[n] for n in data.labels] == ["nv", "mel", "mel", "akiec"]
    assert [item.image.stem for item in data.items] == list(data.names)
    assert not data.ordered


def test_ham10000_as_archives_have_it(tmp_path):
    """Kaggle's holds every image twice; Harvard's table is separated by tabs."""
    write_ham10000(tmp_path)
    for part in "12":
        folder = tmp_path / f"HAM10000_images_part_{part}"
        shutil.copytree(folder, tmp_path / f"ham_copy_part_{part}")
    path = tmp_path / "HAM10000_metadata.csv"
    text = path.read_text().replace(",", "\t")
    path.unlink()
    (tmp_path / "HAM10000_metadata.tab").write_text(text)
    assert len(layouts.read("ham10000", tmp_path)) == 4


def test_aptos2019(tmp_path):
    data = layouts.read("aptos2019", write_aptos2019(tmp_path))
    assert data.ordered
    assert data.classes == tuple("01234")
    assert list(zip(data.names, data.labels.tolist())) == [("0f1", 4), ("a0b", 0)]
    assert sum(layouts.APTOS2019_COUNTS) == 3662


def test_eyepacs(tmp_path):
    data = layouts.read("eyepacs", write_eyepacs(tmp_path))
    assert data.groups == ("10", "10", "7")
    assert data.labels.tolist() == [0, 2, 1]
    table(tmp_path / "trainLabels.csv", "image,level", "10_left,0", "7,1")
    touch(tmp_path / "train", "7.jpeg")
    with pytest.raises(ValueError, match="line 3: image 7; expected PATIENT_left or "):
        layouts.read("eyepacs", tmp_path)


@pytest.mark.parametrize("below", [".", "B. Disease Grading"])
def test_idrid(tmp_path, below):
    data = layouts.read("idrid", write_idrid(tmp_path) / below)
    assert data.names == ("train/IDRiD_001", "train/IDRiD_002", "test/IDRiD_001")
    assert data.labels.tolist() == [3, 1, 4]
    parts = {fold: data.fold(fold) for fold in ("train", "test")}
    check_apart(parts)
    assert len(parts["test"]) == 1
    assert parts["test"].items[0].image.parent.name == "b. Testing Set"
    shutil.rmtree(parts["test"].items[0].image.parent)
    assert layouts.read("idrid", tmp_path).folds == ("train",)


@pytest.mark.parametrize("layout", ["ham10000", "aptos2019", "idrid", "eyepacs"])
def test_what_is_missing_is_named(tmp_path, layout):
    with pytest.raises(FileNotFoundError, match="absent: no such folder; check the"):
        layouts.read(layout, tmp_path / "absent")
    touch(tmp_path, "readme.txt")
    with pytest.raises(FileNotFoundError, match=r"missing; .* holds readme\.txt"):
        layouts.read(layout, tmp_path)


def test_a_row_without_image_is_named(tmp_path):
    write_ham10000(tmp_path)
    (tmp_path / "HAM10000_images_part_2/ISIC_4.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"metadata\.csv, line 5: no image ISIC_4"
    ):
        layouts.read("ham10000", tmp_path)


def test_plain_layouts_and_their_options(tmp_path):
    picture(tmp_path / "x/a.png")
    path = table(tmp_path / "labels.csv", "file,grade", "a,3")
    columns = layouts.Columns("file", "grade")
    read = layouts.read("table", tmp_path, labels=path, columns=columns, ordered=True)
    assert (read.classes, read.ordered) == (("3",), True)
    read = layouts.read("folders", tmp_path, classes=("y", "x"))
    assert read.labels.tolist() == [1]
    with pytest.raises(
        ValueError, match="unknown layout 'csv'; known: table, folders, "
    ):
        layouts.read("csv", tmp_path)
    with pytest.raises(ValueError, match="layout 'table' needs labels"):
        layouts.read("table", tmp_path)
    with pytest.raises(ValueError, match="'folders' has no table of its own to name"):
        layouts.read("folders", tmp_path, labels=path)
    with pytest.raises(
        ValueError, match=r"'aptos2019' has the classes 0, 1, .* found a"
    ):
        layouts.read("aptos2019", write_aptos2019(tmp_path / "aptos"), classes=("a",))

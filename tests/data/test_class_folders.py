"""A folder of images for each class."""

import pytest
from made_classes import touch

from rkd_jax.data.class_data import check_training
from rkd_jax.data.class_folders import from_folders
from rkd_jax.files import own_files


def test_folders_are_classes(tmp_path):
    touch(tmp_path, "nv/b.jpg", "nv/old/a.png", "mel/c.tif", ".git/x.jpg", "list.csv")
    data = from_folders(tmp_path)
    assert data.classes == ("mel", "nv")
    assert data.names == ("mel/c", "nv/b", "nv/old/a")
    assert data.labels.tolist() == [0, 1, 1]
    assert data.groups == data.names
    assert data.folds == ("",)


def test_folders_of_parts(tmp_path):
    touch(tmp_path, "train/10/a.jpg", "train/9/b.jpg", "Validation/9/a.jpg")
    touch(tmp_path, "test/9/c.jpg", "testing/10/d.jpg")
    data = from_folders(tmp_path, ordered=True)
    assert data.classes == ("9", "10")
    assert data.ordered
    labels = {item.name: (item.fold, item.label) for item in data.items}
    assert labels == {
        "train/10/a": ("train", 1),
        "train/9/b": ("train", 0),
        "Validation/9/a": ("val", 0),
        "test/9/c": ("test", 0),
        "testing/10/d": ("test", 1),
    }


def test_given_classes(tmp_path):
    touch(tmp_path, "nv/b.jpg", "mel/c.tif")
    data = from_folders(tmp_path, classes=("nv", "df", "mel"))
    assert data.labels.tolist() == [2, 0]
    with pytest.raises(ValueError, match=r"no image to train on of class df \(of nv, "):
        check_training(data)
    check_training(from_folders(tmp_path))


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent: no such folder; check"):
        from_folders(tmp_path / "absent")
    touch(tmp_path, "a.jpg")
    with pytest.raises(ValueError, match="no folders in it; expected a folder of ima"):
        from_folders(tmp_path)
    touch(tmp_path, "nv/b.jpg", "unsure/c.tif")
    with pytest.raises(ValueError, match="unsure: the folder is none of the classes "):
        from_folders(tmp_path, classes=("nv", "mel"))
    touch(tmp_path, "nv/b.png")
    with pytest.raises(ValueError, match=r"nv/b\.png: a second image named 'nv/b'"):
        from_folders(tmp_path)
    touch(tmp_path, "mel/notes.txt")
    with pytest.raises(ValueError, match="mel: no image in this folder"):
        from_folders(tmp_path)


def test_results_of_the_package_are_no_images(tmp_path):
    touch(tmp_path, "nv/a.jpg", "mel/b.jpg")
    own_files.write_bytes(tmp_path / "nv/a_map.png", b"picture")
    assert from_folders(tmp_path).names == ("mel/b", "nv/a")

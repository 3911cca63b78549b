"""MedMNIST files: what is written by NumPy is read, and foreign arrays are refused."""

import numpy as np
import pytest
from made_classes import medmnist_arrays

from rkd_jax.data import class_layouts
from rkd_jax.data.medmnist import read_medmnist


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 28)])
def test_images_and_labels(tmp_path, save, shape):
    arrays = medmnist_arrays(shape)
    save(tmp_path / "made.npz", **arrays)
    data = class_layouts.read("medmnist", tmp_path / "made.npz")
    assert data.classes == ("0", "1", "2")
    assert data.folds == ("train", "val", "test")
    for fold in data.folds:
        part = data.fold(fold)
        np.testing.assert_array_equal(part.labels, arrays[f"{fold}_labels"][:, 0])
        for item, expected in zip(part.items, arrays[f"{fold}_images"], strict=True):
            rgb = expected if expected.ndim == 3 else np.stack([expected] * 3, axis=-1)
            np.testing.assert_array_equal(item.read(), rgb)


def test_names_of_classes(tmp_path):
    path = tmp_path / "made.npz"
    np.savez(path, **medmnist_arrays())
    assert read_medmnist(path, classes=("x", "y", "z")).classes == ("x", "y", "z")
    with pytest.raises(
        ValueError, match="train_labels, row 2: class 2; expected one of"
    ):
        read_medmnist(path, classes=("x", "y"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"val_labels": None}, "no array val_labels; expected a MedMNIST file"),
        ({"test_images": None}, "no array test_images; expected a MedMNIST file"),
        ({"val_images": np.zeros((2, 9, 9, 9, 1), np.uint8)}, "val_images is uint8 of"),
        (
            {"val_images": np.zeros((2, 9, 9, 9), np.uint8)},
            r"shape \(2, 9, 9, 9\); exp",
        ),
        ({"val_images": np.zeros((2, 9, 9))}, "val_images is float64 of shape"),
        ({"val_images": np.zeros((3, 9, 9), np.uint8)}, r"expected uint8 of shape \(2"),
        ({"val_labels": np.zeros((2, 14), np.uint8)}, "several labels an image"),
        ({"val_labels": np.zeros((2, 1))}, "val_labels is float64"),
        ({"val_images": np.zeros((2, 9, 9), np.uint8, "F")}, "stored by columns"),
        ({"val_labels": np.array([{}, {}])}, "val_labels cannot be read .*fetch it"),
    ],
)
def test_other_arrays_are_refused(tmp_path, changed, message):
    arrays = {**medmnist_arrays(), **changed}
    path = tmp_path / "made.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match=rf"made\.npz: .*{message}"):
        read_medmnist(path)


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "made.npz"
    with pytest.raises(FileNotFoundError, match=r"made\.npz: no such file"):
        read_medmnist(path)
    np.savez_compressed(path, **medmnist_arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"made\.npz: train_labels cannot be read"):
        read_medmnist(path)
    middle = len(whole) // 4
    path.write_bytes(whole[:middle] + bytes(200) + whole[middle + 200 :])
    with pytest.raises(ValueError, match=r"made\.npz: train_images cannot be read"):
        read_medmnist(path).items[0].read()

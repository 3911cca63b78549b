"""MedMNIST: images with classes in one `.npz` file, in published folds."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Sequence
from typing import IO, TypeVar

import numpy as np

from rkd_jax.data.class_data import ClassData, Labeled

T = TypeVar("T")
FOLDS = ("train", "val", "test")


def read_medmnist(
    path: str | os.PathLike[str], *, classes: Sequence[str] = ()
) -> ClassData:
    """Read a MedMNIST file: images of one size, grey or RGB, of one class each.

    The file has the arrays train_images uint8 `[N, S, S]` or `[N, S, S, 3]`,
    train_labels `[N, 1]`, and the same of val and test. The images of a fold are
    unpacked into a temporary file when one of them is first read, so that they need
    not fit into memory. Each image stands alone: no patients are published.

    Args:
        path: the file.
        classes: names of the classes 0, 1, ...; empty: these numbers.

    Raises:
        OSError: no such file.
        ValueError: no such arrays, volumes, several labels an image, or a label that is
            none of `classes`.

    Source: Yang et al., MedMNIST v2, Scientific Data 2023.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a MedMNIST file .npz")
    labels = {fold: _labels(path, fold) for fold in FOLDS}
    highest = max(int(numbers.max(initial=0)) for numbers in labels.values())
    names = tuple(classes) or tuple(map(str, range(highest + 1)))
    items = []
    for fold, numbers in labels.items():
        images = _Images(path, fold, len(numbers))
        for row, label in enumerate(numbers.tolist()):
            name, where = f"{fold} {row}", f"{path}, {fold}_labels, row {row}"
            if not 0 <= label < len(names):
                raise ValueError(
                    f"{where}: class {label}; expected one of the {len(names)} classes "
                    f"{', '.join(names)}, by number"
                )
            read = functools.partial(images.__getitem__, row)
            items.append(Labeled(name, read, label, name, fold, where))
    return ClassData(tuple(items), names, origin=os.fspath(path))


class _Images:
    """The images of a fold; unpacked when the first is read."""

    def __init__(self, path: pathlib.Path, fold: str, count: int) -> None:
        self._path, self._key = path, f"{fold}_images"
        self._array: np.ndarray | None = None
        self._lock = threading.Lock()
        shape, dtype = _read(path, self._key, _header)
        square = len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)
        if dtype != np.uint8 or not square or shape[0] != count:
            raise ValueError(
                f"{path}: {self._key} is {dtype} of shape {shape}; expected uint8 of "
                f"shape ({count}, S, S) or ({count}, S, S, 3), as in the sets of images"
            )

    def __getitem__(self, row: int) -> np.ndarray:
        with self._lock:
            if self._array is None:
                self._array = _read(self._path, self._key, _unpacked)
        return self._array[row]


def _labels(path: pathlib.Path, fold: str) -> np.ndarray:
    """Return the numbers of the classes of a fold, `[N]`."""
    key = f"{fold}_labels"
    found = _read(path, key, np.lib.format.read_array)
    if (
        found.ndim not in (1, 2)
        or found.size != len(found)
        or found.dtype.kind not in "iu"
    ):
        raise ValueError(
            f"{path}: {key} is {found.dtype} of shape {found.shape}; expected one "
            "whole number an image: sets with several labels an image cannot be used"
        )
    return found.reshape(-1)


def _read(path: pathlib.Path, key: str, read: Callable[[IO[bytes]], T]) -> T:
    """Return what `read` makes of an array of the file."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as member:
            return read(member)
    except KeyError:
        raise ValueError(
            f"{path}: no array {key}; expected a MedMNIST file, with images and labels "
            f"of {', '.join(FOLDS)}"
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        raise ValueError(
            f"{path}: {key} cannot be read ({error}); expected a MedMNIST file .npz: "
            "fetch it again"
        ) from error


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Read the head of an array; return its shape and type."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(member)
    else:
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(member)
    if by_columns:
        raise ValueError("its values are stored by columns")
    return shape, dtype


def _unpacked(member: IO[bytes]) -> np.ndarray:
    shape, dtype = _header(member)
    with tempfile.TemporaryFile() as file:  # without a name; ends with the array
        shutil.copyfileobj(member, file)
        return np.memmap(file, dtype, "r", shape=shape)

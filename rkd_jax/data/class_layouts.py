"""Data sets of images with one class each, in their published layouts.

    data = read("ham10000", "HAM10000")
    data = read("idrid", "IDRiD").fold("train")

Each reader takes the folder of a data set as it is unpacked. Grades of retinopathy are
called "0" to "4": none, mild, moderate, severe, proliferative.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence

from rkd_jax.data.class_data import ClassData
from rkd_jax.data.class_folders import from_folders
from rkd_jax.data.class_tables import Columns, from_table
from rkd_jax.data.lesion_folders import PHOTOGRAPHS, SPLITS
from rkd_jax.data.medmnist import read_medmnist

Path = str | os.PathLike[str]

GRADES = ("0", "1", "2", "3", "4")
"""Of diabetic retinopathy, by the international clinical scale."""

HAM10000_CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
_HAM10000_TABLES = ("HAM10000_metadata.csv", "HAM10000_metadata.tab")
_HAM10000_PARTS = ("HAM10000_images_part_1", "HAM10000_images_part_2")

APTOS2019_COUNTS = (1805, 370, 999, 193, 295)
"""Published images of each grade: how unequal grades are in screening."""
APTOS2019_TABLE, APTOS2019_IMAGES = "train.csv", "train_images"
EYEPACS_TABLE, EYEPACS_IMAGES = "trainLabels.csv", "train"

IDRID_PART, IDRID_TABLES = "B. Disease Grading", "2. Groundtruths"
IDRID_GRADES = {
    "train": "a. IDRiD_Disease Grading_Training Labels.csv",
    "test": "b. IDRiD_Disease Grading_Testing Labels.csv",
}


def ham10000(data_dir: Path) -> ClassData:
    """Read HAM10000: seven classes of skin lesions, grouped by lesion.

    Layout: HAM10000_metadata.csv (image_id, dx, lesion_id), and the images in
    HAM10000_images_part_1 and HAM10000_images_part_2, or in any folder.

    Args:
        data_dir: the folder.

    Raises:
        OSError, ValueError: see `from_table`.

    Source: Tschandl et al., Scientific Data 2018.
    """
    root = _root(data_dir)
    names = [name for name in _HAM10000_TABLES if (root / name).is_file()]
    table = _needed(root, names[0] if names else _HAM10000_TABLES[0])
    # Kaggle's archive has both folders a second time, under names in lower case.
    parts = [root / part for part in _HAM10000_PARTS if (root / part).is_dir()]
    return from_table(
        table,
        images_dir=parts or root,
        columns=Columns("image_id", "dx", "lesion_id"),
        classes=HAM10000_CLASSES,
    )


def aptos2019(data_dir: Path) -> ClassData:
    """Read APTOS 2019: grades of retinopathy; who the patients are is not published.

    Layout: train.csv (id_code, diagnosis) and train_images/ID.png. The test images have
    no published grades.

    Args:
        data_dir: the folder.

    Raises:
        OSError, ValueError: see `from_table`.

    Source: https://www.kaggle.com/c/aptos2019-blindness-detection
    """
    root = _root(data_dir)
    return from_table(
        _needed(root, APTOS2019_TABLE),
        images_dir=_needed(root, APTOS2019_IMAGES),
        columns=Columns("id_code", "diagnosis"),
        classes=GRADES,
        ordered=True,
    )


def idrid(data_dir: Path) -> ClassData:
    """Read IDRiD's part "B. Disease Grading": retinopathy, folds "train" and "test".

    The same names are used in both parts, so here they begin with the fold:
    "train/IDRiD_001". Who the patients are is not published.

    Args:
        data_dir: the part's folder, or the one that holds it. The test part may be
            missing.

    Raises:
        OSError, ValueError: see `from_table`.

    Source: Porwal et al., Data 2018.
    """
    root = _root(data_dir)
    root = root / IDRID_PART if (root / IDRID_PART).is_dir() else root
    items = []
    for fold, table in IDRID_GRADES.items():
        images = root / PHOTOGRAPHS / SPLITS[fold]
        if fold == "test" and not images.is_dir():
            continue
        part = from_table(
            _needed(root, f"{IDRID_TABLES}/{table}"),
            images_dir=_needed(root, f"{PHOTOGRAPHS}/{SPLITS[fold]}"),
            columns=Columns("image name", "retinopathy grade"),
            classes=GRADES,
        )
        for item in part.items:
            name = f"{fold}/{item.name}"
            items.append(dataclasses.replace(item, name=name, group=name, fold=fold))
    return ClassData(tuple(items), GRADES, ordered=True, origin=os.fspath(root))


def eyepacs(data_dir: Path) -> ClassData:
    """Read EyePACS (Kaggle 2015): grades of retinopathy, grouped by patient.

    Layout: trainLabels.csv (image, level) and train/ID_left.jpeg, train/ID_right.jpeg.

    Args:
        data_dir: the folder.

    Raises:
        OSError, ValueError: see `from_table`; or a name that does not end so.

    Source: https://www.kaggle.com/c/diabetic-retinopathy-detection
    """
    root = _root(data_dir)
    data = from_table(
        _needed(root, EYEPACS_TABLE),
        images_dir=_needed(root, EYEPACS_IMAGES),
        columns=Columns("image", "level"),
        classes=GRADES,
        ordered=True,
    )
    items = []
    for item in data.items:
        patient, _, eye = item.name.rpartition("_")
        if not patient or eye not in ("left", "right"):
            raise ValueError(
                f"{item.where}: image {item.name}; expected PATIENT_left or "
                "PATIENT_right: correct the row, or read the table as layout 'table'"
            )
        items.append(dataclasses.replace(item, group=patient))
    return dataclasses.replace(data, items=tuple(items))


PUBLISHED: dict[str, Callable[[Path], ClassData]] = {
    "ham10000": ham10000,
    "aptos2019": aptos2019,
    "idrid": idrid,
    "eyepacs": eyepacs,
}
"""Layouts that have classes, groups and tables of their own."""

LAYOUTS = ("table", "folders", "medmnist", *PUBLISHED)


def read(
    layout: str,
    data_dir: Path,
    *,
    labels: Path | None = None,
    columns: Columns | None = None,
    classes: Sequence[str] = (),
    ordered: bool | None = None,
) -> ClassData:
    """Read images with one class each.

    Args:
        layout: one of `LAYOUTS`. "table": images of `data_dir` by the table `labels`;
            "folders": a folder a class; "medmnist": `data_dir` is a file .npz.
        data_dir: the data.
        labels: CSV file of "table".
        columns: its columns, see `from_table`.
        classes: names of the classes in order; needed by none. Of a published layout
            they must be its own.
        ordered: whether a class is more than those before it; None: as published, else
            not.

    Raises:
        OSError: something is missing.
        ValueError: an unknown layout, an option that it does not have, or bad data; the
            message names file and row.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    if layout != "table" and (labels is not None or columns is not None):
        raise ValueError(
            f"layout {layout!r} has no table of its own to name; give no labels and "
            "columns, or layout 'table'"
        )
    if layout == "table":
        if labels is None:
            raise ValueError("layout 'table' needs labels, a CSV file with the classes")
        data = from_table(labels, images_dir=data_dir, columns=columns, classes=classes)
    elif layout == "folders":
        data = from_folders(data_dir, classes=classes)
    elif layout == "medmnist":
        data = read_medmnist(data_dir, classes=classes)
    else:
        data = PUBLISHED[layout](data_dir)
    if classes and tuple(classes) != data.classes:
        raise ValueError(
            f"layout {layout!r} has the classes {', '.join(data.classes)}, in this "
            f"order; found {', '.join(classes)}"
        )
    return data if ordered is None else dataclasses.replace(data, ordered=ordered)


def _root(data_dir: Path) -> pathlib.Path:
    root = pathlib.Path(data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; check the path")
    return root


def _needed(root: pathlib.Path, name: str) -> pathlib.Path:
    path = root / name
    if not path.exists():
        there = ", ".join(sorted(p.name for p in root.iterdir())[:5]) or "nothing"
        raise FileNotFoundError(
            f"{path}: missing; expected the data set as published, unpacked; "
            f"{root} holds {there}"
        )
    return path

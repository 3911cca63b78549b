"""IDRiD, grading part: photographs with two grades each."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common

_PART = "B. Disease Grading"
_IMAGES = {"train": "a. Training Set", "test": "b. Testing Set"}
_GRADES = {
    "train": "a. IDRiD_Disease Grading_Training Labels.csv",
    "test": "b. IDRiD_Disease Grading_Testing Labels.csv",
}


class Idrid(_common.RawBuilder):
    """IDRiD (Porwal et al. 2018), grading: retinopathy 0..4, macular edema 0..2."""

    layout = (
        f"{_PART}/1. Original Images/a. Training Set/IDRiD_001.jpg and "
        f"{_PART}/2. Groundtruths/{_GRADES['train']}"
    )
    required = tuple(
        f"{_PART}/{folder}/{name}"
        for folder, names in (
            ("1. Original Images", _IMAGES),
            ("2. Groundtruths", _GRADES),
        )
        for name in names.values()
    )

    def _info(self):
        features = {
            "name": tfds.features.Text(),
            "image": _common.image_feature(),
            "retinopathy_grade": tfds.features.ClassLabel(num_classes=5),
            "macular_edema_risk": tfds.features.ClassLabel(num_classes=3),
        }
        return self.describe(features, "https://idrid.grand-challenge.org")

    def _split_generators(self, dl_manager):
        root = self.raw() / _PART
        generators = {}
        for split, folder in _IMAGES.items():
            table = root / "2. Groundtruths" / _GRADES[split]
            grades = _read_grades(table)
            paths = self.checked(_common.images(root / "1. Original Images" / folder))
            lacking = [p.stem for p in paths if p.stem not in grades]
            if lacking:
                raise ValueError(f"{table}: no grades of {', '.join(lacking)}")
            generators[split] = self._generate_examples(paths, grades)
        return generators

    def _generate_examples(self, paths, grades):
        return _common.numbered(
            {
                "name": path.stem,
                "image": _common.encoded(path),
                "retinopathy_grade": grades[path.stem][0],
                "macular_edema_risk": grades[path.stem][1],
            }
            for path in paths
        )


def _read_grades(path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Read rows "name, retinopathy, edema"; there may be blank columns behind."""
    grades = {}
    for number, row in _rows(path):
        if number == 1 or not any(row):
            continue
        try:
            grades[row[0].strip()] = int(row[1]), int(row[2])
        except (IndexError, ValueError):
            raise ValueError(
                f"{path}, line {number}: expected 'name,grade,risk', found "
                f"{[cell[:60] for cell in row[:3]]}"
            ) from None
    return grades


def _rows(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table with their line numbers in the file."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.reader(file)
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise ValueError(
                f"{path}, line {reader.line_num}: not a table ({error}); correct it"
            ) from None

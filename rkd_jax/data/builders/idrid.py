"""IDRiD, grading part: photographs with two grades each."""

from __future__ import annotations

import pathlib

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common
from rkd_jax.files.tables import read_table

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
    """Read rows "name, retinopathy, edema" below a line of names.

    There may be blank columns behind, as in the published files.
    """
    grades: dict[str, tuple[int, int]] = {}
    for row in read_table(path).rows[1:]:
        name = row.cell(0)
        try:
            found = int(row.cell(1)), int(row.cell(2))
        except ValueError:
            raise ValueError(
                f"{path}, line {row.line}: expected 'name,grade,risk', "
                f"found {row.cells[:3]}"
            ) from None
        if grades.setdefault(name, found) != found:
            raise ValueError(
                f"{path}, line {row.line}: {name} has other grades above; correct one"
            )
    return grades

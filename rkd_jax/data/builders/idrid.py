"""IDRiD, grading part: photographs with two grades each."""

from __future__ import annotations

import pathlib

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common
from rkd_jax.data.class_layouts import IDRID_GRADES, IDRID_PART, IDRID_TABLES
from rkd_jax.data.lesion_folders import PHOTOGRAPHS, SPLITS
from rkd_jax.files.tables import read_table


class Idrid(_common.RawBuilder):
    """IDRiD (Porwal et al. 2018), grading: retinopathy 0..4, macular edema 0..2."""

    layout = (
        f"{IDRID_PART}/{PHOTOGRAPHS}/a. Training Set/IDRiD_001.jpg and "
        f"{IDRID_PART}/{IDRID_TABLES}/{IDRID_GRADES['train']}"
    )
    required = tuple(
        f"{IDRID_PART}/{folder}/{name}"
        for folder, names in (
            (PHOTOGRAPHS, SPLITS),
            (IDRID_TABLES, IDRID_GRADES),
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
        root = self.raw() / IDRID_PART
        generators = {}
        for split, folder in SPLITS.items():
            table = root / IDRID_TABLES / IDRID_GRADES[split]
            grades = _read_grades(table)
            paths = self.checked(_common.images(root / PHOTOGRAPHS / folder))
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

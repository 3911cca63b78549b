"""EyePACS: photographs of both eyes of patients, with grades of retinopathy."""

from __future__ import annotations

from rkd_jax.data import class_layouts
from rkd_jax.data.builders import _classes


class Eyepacs(_classes.ClassesBuilder):
    """EyePACS (Kaggle 2015): the training images, with grades, grouped by patient."""

    layout = (
        f"{class_layouts.EYEPACS_TABLE} and "
        f"{class_layouts.EYEPACS_IMAGES}/10_left.jpeg, 10_right.jpeg"
    )
    required = (class_layouts.EYEPACS_TABLE, class_layouts.EYEPACS_IMAGES)
    classes = class_layouts.GRADES
    homepage = "https://www.kaggle.com/c/diabetic-retinopathy-detection"

    def listed(self):
        return class_layouts.eyepacs(self.raw())

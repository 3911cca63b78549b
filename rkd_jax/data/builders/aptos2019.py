"""APTOS 2019: 3662 photographs of eyes with grades of diabetic retinopathy."""

from __future__ import annotations

from rkd_jax.data import class_layouts
from rkd_jax.data.builders import _classes


class Aptos2019(_classes.ClassesBuilder):
    """APTOS 2019 Blindness Detection (Kaggle): the training images, with grades."""

    layout = (
        f"{class_layouts.APTOS2019_TABLE} and "
        f"{class_layouts.APTOS2019_IMAGES}/000c1434d8d7.png"
    )
    required = (class_layouts.APTOS2019_TABLE, class_layouts.APTOS2019_IMAGES)
    classes = class_layouts.GRADES
    homepage = "https://www.kaggle.com/c/aptos2019-blindness-detection"

    def listed(self):
        return class_layouts.aptos2019(self.raw())

"""HRF: 45 photographs of healthy, glaucomatous and diabetic eyes."""

from __future__ import annotations

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common

_DIAGNOSES = {"h": "healthy", "g": "glaucoma", "dr": "diabetic_retinopathy"}


class Hrf(_common.RawBuilder):
    """HRF (Budai et al. 2013): photographs, vessel masks, fields, diagnosis."""

    layout = "images/01_dr.JPG, manual1/01_dr.tif, mask/01_dr_mask.tif"
    required = ("images",)

    def _info(self):
        diagnosis = tfds.features.ClassLabel(names=list(_DIAGNOSES.values()))
        return self.describe(
            {**_common.vessel_features(), "diagnosis": diagnosis},
            "https://www5.cs.fau.de/research/data/fundus-images/",
        )

    def _split_generators(self, dl_manager):
        root = self.raw()
        paths = self.checked(_common.images(root / "images"))
        strange = [p.name for p in paths if p.stem.split("_")[-1] not in _DIAGNOSES]
        if strange:
            raise ValueError(
                f"{root / 'images'}: {', '.join(strange)}: expected names such as "
                "01_h.jpg, 01_g.jpg, 01_dr.jpg"
            )
        return {"train": self._generate_examples(root, paths)}

    def _generate_examples(self, root, paths):
        def example(path):
            masks = _common.find(root / "manual1", [path.stem])
            field = _common.find(root / "mask", [f"{path.stem}_mask"])
            diagnosis = _DIAGNOSES[path.stem.split("_")[-1]]
            return {
                **_common.vessel_example(path, masks, field),
                "diagnosis": diagnosis,
            }

        return _common.numbered(example(path) for path in paths)

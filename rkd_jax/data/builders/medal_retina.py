"""MeDAL-Retina and SuperRetina's layout: photographs with keypoints."""

from __future__ import annotations

import os
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rkd_jax.data import superretina_layout
from rkd_jax.data.builders import _common
from rkd_jax.images import image_files


class MedalRetina(_common.RawBuilder):
    """Photographs with keypoints, in the layout of SuperRetina and MeDAL-Retina.

    A split for each file of ImageSets, and "auxiliary": images without keypoints.
    "keypoints" are x / width, y / height in 0..1.

    Args:
        raw_dir: root with ImageData, Annotations, ImageSets.
        auxiliary_dir: folder of further images without labels, if any.
        skip_missing: leave out listed samples whose files are missing, and log them.
        **options: of `tfds.core.GeneratorBasedBuilder`.
    """

    layout = superretina_layout.LAYOUT
    required = ("ImageData", "Annotations", "ImageSets")

    def __init__(
        self,
        *,
        auxiliary_dir: str | os.PathLike[str] | None = None,
        skip_missing: bool = False,
        **options: Any,
    ):
        self.auxiliary_dir = auxiliary_dir and pathlib.Path(auxiliary_dir)
        self.skip_missing = skip_missing
        super().__init__(**options)

    def raw_facts(self):
        facts = {**super().raw_facts(), "skip_missing": self.skip_missing}
        if self.auxiliary_dir:
            facts["auxiliary_dir"] = self.fingerprint(self.auxiliary_dir)
        return facts

    def _info(self):
        features = {
            "name": tfds.features.Text(),
            "image": _common.image_feature(),
            "keypoints": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
        }
        return self.describe(
            features, "https://github.com/SaharAlmahfouzNasser/MeDAL-Retina"
        )

    def _split_generators(self, dl_manager):
        root = self.raw()
        names = self.checked(sorted(p.stem for p in (root / "ImageSets").glob("*.txt")))
        generators = {}
        for name in names:
            samples = [
                (image, superretina_layout.read_annotation(label))
                for image, label in superretina_layout.read_split(
                    root, name, skip_missing=self.skip_missing
                )
            ]
            generators[name] = self._generate_examples(samples)
        if self.auxiliary_dir:
            unlabeled = [
                (path, np.zeros((0, 2)))
                for path in image_files.list_images(self.auxiliary_dir)
            ]
            generators["auxiliary"] = self._generate_examples(unlabeled)
        return generators

    def _generate_examples(self, samples):
        return _common.numbered(
            {
                "name": path.name,
                "image": _common.encoded(path),
                "keypoints": points.astype(np.float32),
            }
            for path, points in samples
        )

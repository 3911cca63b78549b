"""What the builders of images with one class each share."""

from __future__ import annotations

from typing import ClassVar

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common
from rkd_jax.data.class_data import ClassData


class ClassesBuilder(_common.RawBuilder, skip_registration=True):
    """A builder of images with a class and a group, in one split, "train"."""

    classes: ClassVar[tuple[str, ...]] = ()
    homepage: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    def listed(self) -> ClassData:
        """Return the images of the raw folder."""
        raise NotImplementedError

    def _info(self):
        features = {
            "name": tfds.features.Text(),
            "image": _common.image_feature(),
            "label": tfds.features.ClassLabel(names=list(self.classes)),
            "group": tfds.features.Text(),
        }
        return self.describe(features, self.homepage, citation=self.citation)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(self.listed())}

    def _generate_examples(self, data):
        return _common.numbered(
            {
                "name": item.name,
                "image": _common.encoded(item.image),
                "label": item.label,
                "group": item.group,
            }
            for item in data.items
        )

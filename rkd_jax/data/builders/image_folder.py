"""Any folder of images, without labels."""

from __future__ import annotations

import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common
from rkd_jax.images import image_files


class ImageFolder(_common.RawBuilder):
    """The images of one folder (not of its subfolders), sorted by name."""

    layout = f"images ending in {', '.join(image_files.IMAGE_SUFFIXES)}"

    def _info(self):
        return self.describe(
            {"name": tfds.features.Text(), "image": _common.image_feature()}
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(image_files.list_images(self.raw()))}

    def _generate_examples(self, paths):
        return _common.numbered(
            {"name": path.name, "image": _common.encoded(path)} for path in paths
        )

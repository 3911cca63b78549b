"""IDRiD, segmentation part: photographs with masks of lesions and optic disc."""

from __future__ import annotations

import io

import numpy as np
import tensorflow_datasets as tfds

from rkd_jax.data import lesion_folders
from rkd_jax.data.builders import _common
from rkd_jax.images.pictures import encode_png
from rkd_jax.images.reading import read_image

_KINDS = {**lesion_folders.LESIONS, "optic_disc": lesion_folders.OPTIC_DISC}
_CITATION = """\
@article{porwal2018idrid,
  title = {Indian Diabetic Retinopathy Image Dataset (IDRiD): A Database for Diabetic
           Retinopathy Screening Research},
  author = {Porwal, Prasanna and Pachade, Samiksha and Kamble, Ravi and
            Kokare, Manesh and Deshmukh, Girish and Sahasrabuddhe, Vivek and
            Meriaudeau, Fabrice},
  journal = {Data},
  volume = {3},
  number = {3},
  pages = {25},
  year = {2018},
  doi = {10.3390/data3030025},
}"""


class IdridSegmentation(_common.RawBuilder):
    """IDRiD (Porwal et al. 2018), segmentation: lesions and optic disc, CC BY 4.0.

    Each example has five masks of 0 and 255; without a file, a mask is empty.
    """

    layout = (
        f"{lesion_folders.PART}/ with {lesion_folders.PHOTOGRAPHS}/a. Training Set/"
        f"IDRiD_01.jpg and {lesion_folders.MASKS}/a. Training Set/1. Microaneurysms/"
        "IDRiD_01_MA.tif"
    )

    def _info(self):
        features = {
            "name": tfds.features.Text(),
            "image": _common.image_feature(),
            **{kind: _common.image_feature(1) for kind in _KINDS},
        }
        return self.describe(
            features, "https://idrid.grand-challenge.org", citation=_CITATION
        )

    def _split_generators(self, dl_manager):
        root = lesion_folders.idrid_root(self.raw())
        return {
            split: self._generate_examples(root, split)
            for split, folder in lesion_folders.SPLITS.items()
            if split == "train" or (root / lesion_folders.PHOTOGRAPHS / folder).is_dir()
        }

    def _generate_examples(self, root, split):
        listed = [
            lesion_folders.idrid_kind(root, kind, split) for kind in _KINDS.values()
        ]
        return _common.numbered(_example(eyes) for eyes in zip(*listed, strict=True))


def _example(eyes):
    """Return the example of one photograph, listed once for each kind of mask."""
    shape = read_image(eyes[0].image).shape
    masks = (
        lesion_folders.read_mask(eye, shape).astype(np.uint8) * 255 for eye in eyes
    )
    return {
        "name": eyes[0].name,
        "image": _common.encoded(eyes[0].image),
        **{
            kind: io.BytesIO(encode_png(mask))
            for kind, mask in zip(_KINDS, masks, strict=True)
        },
    }

"""WFLW: faces with 98 points, a box and six flags each."""

from __future__ import annotations

import functools
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from rkd_jax.data import wflw
from rkd_jax.data.builders import _common
from rkd_jax.synthetic.faces.points import ATTRIBUTES, COUNT

_FOLDER = f"{wflw.ANNOTATIONS}/list_98pt_rect_attr_train_test"


class Wflw(_common.RawBuilder):
    """WFLW (Wu et al. 2018): one example a face, with its whole picture.

    A split for each list: "train", "test", and the plain ones "test_largepose", ...
    "landmarks" and "box" (x_min, y_min, x_max, y_max) are in pixels of "image". A list
    without boxes and flags takes those of a list with them; of faces in none of those
    the box is about the points and "attributes" is empty.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.1.0": "Plain lists have the boxes and flags of the list with them.",
        "1.0.0": "First release.",
    }
    layout = (
        f"{wflw.IMAGES}/ and {_FOLDER}/list_98pt_rect_attr_train.txt and _test.txt, "
        f"or {wflw.ANNOTATIONS}/list_98pt_test/list_98pt_test.txt"
    )
    required = (wflw.IMAGES, wflw.ANNOTATIONS)

    def _info(self):
        flag = tfds.features.Tensor(shape=(), dtype=np.bool_)
        features = {
            "name": tfds.features.Text(),
            "image": _common.image_feature(),
            "landmarks": tfds.features.Tensor(shape=(COUNT, 2), dtype=np.float32),
            "box": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "attributes": tfds.features.Sequence({name: flag for name in ATTRIBUTES}),
        }
        return self.describe(features, "https://wywu.github.io/projects/LAB/WFLW.html")

    def _split_generators(self, dl_manager):
        root = self.raw()
        lists = {name: wflw.read_list(root, name) for name in wflw.list_names(root)}
        self.checked(list(lists))
        return {split: self._generate_examples(faces) for split, faces in lists.items()}

    def _generate_examples(self, faces):
        # Faces of one picture follow each other more often than not.
        encoded = functools.lru_cache(maxsize=4)(_common.stored_bytes)
        return _common.numbered(_example(face, encoded) for face in faces)


def _example(face, encoded):
    import io

    flags = []
    if face.attributes is not None:
        flags = [dict(zip(ATTRIBUTES, (bool(f) for f in face.attributes)))]
    return {
        "name": face.name,
        "image": io.BytesIO(encoded(face.image)),
        "landmarks": face.points.astype(np.float32),
        "box": face.box.astype(np.float32),
        "attributes": flags,
    }

"""FIRE: pairs of photographs with control points, for testing only."""

from __future__ import annotations

import re

import numpy as np
import tensorflow_datasets as tfds

from rkd_jax.data.builders import _common
from rkd_jax.data.fire import load_control_points


class Fire(_common.RawBuilder):
    """FIRE (Hernandez-Matas et al. 2017): pairs with ten control points each.

    A row of "control_points" is x, y in "image_1" and x, y in "image_2", in pixels. The
    pairs are those that have a control point file, in the order of their names.
    """

    layout = (
        "Images/S01_1.jpg, Images/S01_2.jpg, Ground Truth/control_points_S01_1_2.txt"
    )
    required = ("Images", "Ground Truth")

    def _info(self):
        features = {
            "name": tfds.features.Text(),
            "category": tfds.features.ClassLabel(names=["S", "P", "A"]),
            "image_1": _common.image_feature(),
            "image_2": _common.image_feature(),
            "control_points": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
        }
        return self.describe(features, "https://projects.ics.forth.gr/cvrl/fire/")

    def _split_generators(self, dl_manager):
        root = self.raw()
        pairs, missing = [], []
        for path in sorted((root / "Ground Truth").glob("control_points_*.txt")):
            match = re.fullmatch(r"control_points_([SPA]\d+)_1_2", path.stem)
            if not match:
                raise ValueError(f"{path}: expected a name control_points_S01_1_2.txt")
            stems = [f"{match[1]}_1", f"{match[1]}_2"]
            photos = _common.find(root / "Images", stems)
            if len(photos) == 2:
                pairs.append((match[1], photos, path))
            else:
                missing.append(match[1])
        if missing:
            raise FileNotFoundError(
                f"{root / 'Images'}: images of pairs {', '.join(missing)} are missing; "
                f"expected {self.layout}"
            )
        return {"test": self._generate_examples(self.checked(pairs))}

    def _generate_examples(self, pairs):
        return _common.numbered(
            {
                "name": name,
                "category": name[0],
                "image_1": _common.encoded(first),
                "image_2": _common.encoded(second),
                "control_points": load_control_points(path).astype(np.float32),
            }
            for name, (first, second), path in pairs
        )

"""DRIVE: 40 photographs with vessel masks and fields of view."""

from __future__ import annotations

from rkd_jax.data.builders import _common


class Drive(_common.RawBuilder):
    """DRIVE (Staal et al. 2004): photographs, vessel masks, fields of view."""

    layout = (
        "training/ and test/ (or testing/), each with images/21_training.tif, "
        "1st_manual/21_manual1.gif and mask/21_training_mask.gif"
    )
    required = ("training/images",)

    def _info(self):
        return self.describe(
            _common.vessel_features(), "https://drive.grand-challenge.org"
        )

    def _split_generators(self, dl_manager):
        root = self.raw()
        folders = {
            "train": [root / "training"],
            "test": [root / "test", root / "testing"],
        }
        return {
            split: self._generate_examples(folder)
            for split, known in folders.items()
            for folder in known
            if (folder / "images").is_dir()
        }

    def _generate_examples(self, folder):
        def example(path):
            number = path.stem.split("_")[0]
            first = _common.find(folder / "1st_manual", [f"{number}_manual1"])
            second = _common.find(folder / "2nd_manual", [f"{number}_manual2"])
            field = _common.find(folder / "mask", [f"{path.stem}_mask"])
            return _common.vessel_example(path, first + second, field)

        return _common.numbered(
            example(p) for p in self.checked(_common.images(folder / "images"))
        )

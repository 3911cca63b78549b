"""STARE: 20 photographs with vessel masks of one or two observers."""

from __future__ import annotations

from rkd_jax.data.builders import _common


class Stare(_common.RawBuilder):
    """STARE (Hoover et al. 2000): photographs, masks by observers AH and VK."""

    layout = (
        "images/im0001.ppm and labels-ah/im0001.ah.ppm or labels-vk/im0001.vk.ppm "
        "(also .ppm.gz or .png)"
    )
    required = ("images",)

    def _info(self):
        return self.describe(
            _common.vessel_features(), "https://cecas.clemson.edu/~ahoover/stare/"
        )

    def _split_generators(self, dl_manager):
        root = self.raw()
        paths = self.checked(_common.images(root / "images"))
        return {"train": self._generate_examples(root, paths)}

    def _generate_examples(self, root, paths):
        def example(path):
            name = path.name.split(".")[0]
            masks = [
                mask
                for observer in ("ah", "vk")
                for mask in _common.find(
                    root / f"labels-{observer}", [f"{name}.{observer}"]
                )
            ]
            return _common.vessel_example(path, masks)

        return _common.numbered(example(path) for path in paths)

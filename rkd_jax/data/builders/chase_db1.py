"""CHASE_DB1: 28 photographs of children, vessels by two observers."""

from __future__ import annotations

from rkd_jax.data.builders import _common


class ChaseDb1(_common.RawBuilder):
    """CHASE_DB1 (Fraz et al. 2012): photographs and two observers' vessel masks."""

    layout = "Image_01L.jpg, Image_01L_1stHO.png, Image_01L_2ndHO.png, ..."

    def _info(self):
        return self.describe(_common.vessel_features())

    def _split_generators(self, dl_manager):
        root = self.raw()
        paths = [p for p in _common.images(root) if not p.stem.endswith("HO")]
        return {"train": self._generate_examples(self.checked(paths))}

    def _generate_examples(self, paths):
        return _common.numbered(
            _common.vessel_example(
                path,
                _common.find(path.parent, [f"{path.stem}_1stHO", f"{path.stem}_2ndHO"]),
            )
            for path in paths
        )

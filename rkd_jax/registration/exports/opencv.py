"""Two maps for OpenCV's `remap`, in a NumPy archive."""

from __future__ import annotations

import pathlib
import zipfile

import numpy as np

from rkd_jax.registration.exports.places import strips
from rkd_jax.registration.mapped import Mapped

NAMES = ("map_x", "map_y")


def write(path: pathlib.Path, mapped: Mapped) -> None:
    """Write `map_x` and `map_y` of a registered pair, float32 of the fixed size.

    `cv2.remap(moving, map_x, map_y, cv2.INTER_LINEAR)` draws the moving image in the
    fixed frame. The maps are written in strips, so that memory stays bounded.

    Args:
        path: of the file, `.npz`.
        mapped: the pair.

    Raises:
        OSError: it cannot be written.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(mapped.fixed_size)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for axis, name in enumerate(NAMES):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, header)
                for _, *places in strips(mapped):
                    file.write(places[axis].astype("<f4", copy=False).tobytes())

"""A displacement field that the programs of the ITK family read: MetaImage.

An image of the fixed frame's size with two float32 numbers a pixel: how far the place
in the moving image lies from the pixel, (x, y). Spacing 1 and origin 0, so that
physical points are pixels.

Source: the format by ITK's MetaIO, https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import pathlib

import numpy as np

from rkd_jax.registration.exports.places import strips
from rkd_jax.registration.mapped import Mapped

_HEADER = """\
ObjectType = Image
NDims = 2
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = 1 0 0 1
Offset = 0 0
CenterOfRotation = 0 0
ElementSpacing = 1 1
DimSize = {width} {height}
ElementNumberOfChannels = 2
ElementType = MET_FLOAT
ElementDataFile = LOCAL
"""


def write(path: pathlib.Path, mapped: Mapped) -> None:
    """Write the displacement field of a registered pair.

    Args:
        path: of the file, `.mha`.
        mapped: the pair.

    Raises:
        OSError: it cannot be written.
    """
    height, width = mapped.fixed_size
    columns = np.arange(width, dtype=np.float32)
    with path.open("wb") as file:
        file.write(_HEADER.format(width=width, height=height).encode("ascii"))
        for rows, x, y in strips(mapped):
            lines = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
            vectors = np.stack([x - columns, y - lines], axis=-1)
            file.write(vectors.astype("<f4", copy=False).tobytes())

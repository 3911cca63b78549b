"""A displacement field that the programs of the ITK family read: MetaImage.

An image of the fixed frame's size with float32 numbers for each pixel: how far the
place in the moving image lies from the pixel, (x, y). Spacing 1 and origin 0, so that
physical points are pixels. 3D Slicer knows images of three dimensions only: for it the
field has one slice, and vectors (x, y, 0).

Source: the format by ITK's MetaIO, https://itk.org/Wiki/ITK/MetaIO/Documentation.
"""

from __future__ import annotations

import pathlib

import numpy as np

from rkd_jax.registration.exports.places import strips
from rkd_jax.registration.mapped import Mapped

_HEADER = """\
ObjectType = Image
NDims = {dimensions}
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = False
TransformMatrix = {directions}
Offset = {zeros}
CenterOfRotation = {zeros}
ElementSpacing = {ones}
DimSize = {size}
ElementNumberOfChannels = {dimensions}
ElementType = MET_FLOAT
ElementDataFile = LOCAL
"""


def write(path: pathlib.Path, mapped: Mapped, *, dimensions: int = 2) -> None:
    """Write the displacement field of a registered pair.

    Args:
        path: of the file, `.mha`.
        mapped: the pair.
        dimensions: 2, or 3 for a field of one slice.

    Raises:
        OSError: it cannot be written.
    """
    height, width = mapped.fixed_size
    columns = np.arange(width, dtype=np.float32)
    with path.open("wb") as file:
        file.write(_header(width, height, dimensions).encode("ascii"))
        for rows, x, y in strips(mapped):
            lines = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
            vectors = np.zeros((*x.shape, dimensions), "<f4")
            vectors[..., 0], vectors[..., 1] = x - columns, y - lines
            file.write(vectors.tobytes())


def _header(width: int, height: int, dimensions: int) -> str:
    def joined(numbers: np.ndarray) -> str:
        return " ".join(str(number) for number in numbers.ravel().tolist())

    return _HEADER.format(
        dimensions=dimensions,
        directions=joined(np.eye(dimensions, dtype=int)),
        zeros=joined(np.zeros(dimensions, int)),
        ones=joined(np.ones(dimensions, int)),
        size=joined(np.array([width, height, 1][:dimensions])),
    )

"""Draw image files by a transform, number by number as they are stored."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from rkd_jax.images.stored import Stored, read_stored
from rkd_jax.images.storing import encode
from rkd_jax.registration.mapped import Mapped
from rkd_jax.registration.transforms.inverse_map import Layer
from rkd_jax.registration.transforms.sampling import check_interpolation


class Drawing:
    """Draws images of one photograph in the frame of the other one.

    The map of the pixels is solved once, for all images.

    Args:
        mapped: a registered pair.
        inverse: draw images of the fixed photograph in the moving frame.
        interpolation: "nearest", "linear" or "cubic"; an image with a palette, or of
            one bit, is drawn by "nearest" whatever this says.
        fill: value of the pixels that an image does not reach.

    Raises:
        ValueError: if the pair is not registered.
    """

    def __init__(
        self,
        mapped: Mapped,
        *,
        inverse: bool = False,
        interpolation: str = "linear",
        fill: float = 0.0,
    ) -> None:
        check_interpolation(interpolation)
        self._map = mapped.inverse_map(inverse=inverse)
        self._sizes = {"moving": mapped.moving_size, "fixed": mapped.fixed_size}
        self._role = "fixed" if inverse else "moving"
        self._interpolation, self._fill = interpolation, fill

    def draw(self, path: pathlib.Path, suffix: str) -> tuple[bytes, list[str]]:
        """Draw one image file.

        Args:
            path: of the image.
            suffix: of the file to write, one of `images.storing.SUFFIXES`.

        Returns:
            The content of the new file, and notes for the user.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no such image, of another size, or the new file cannot
                hold its numbers; the message names the file.
        """
        stored = read_stored(path)
        self._check_size(path, stored)
        self._check_fill(path, stored)
        interpolation, notes = self._interpolation, []
        if stored.of_classes and interpolation != "nearest":
            interpolation = "nearest"
            notes.append(f"{path}: {stored.kind}: drawn by --interpolation nearest")
        elif interpolation != "nearest" and _has_two_values(stored.pixels):
            notes.append(
                f"{path}: has two values only; --interpolation nearest keeps a mask so"
            )
        layer = Layer(stored.pixels, interpolation, self._fill)
        drawn = dataclasses.replace(stored, pixels=self._map.draw([layer])[0])
        try:
            return encode(drawn, suffix), notes
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def _check_size(self, path: pathlib.Path, stored: Stored) -> None:
        size, expected = stored.pixels.shape[:2], self._sizes[self._role]
        if size == tuple(expected):
            return
        other = "moving" if self._role == "fixed" else "fixed"
        advice = f"give an image of the {self._role} photograph"
        if size == tuple(self._sizes[other]):
            way = "drop" if self._role == "fixed" else "add"
            advice = f"it has the size of the {other} photograph: {way} --inverse?"
        elif size == tuple(expected[::-1]):
            advice = "its sides are swapped: turn it as programs show the photograph"
        raise ValueError(
            f"{path}: image is {size[1]}x{size[0]} px, the {self._role} photograph "
            f"of the transform {expected[1]}x{expected[0]} px; {advice}"
        )

    def _check_fill(self, path: pathlib.Path, stored: Stored) -> None:
        """Refuse a fill that the image's numbers cannot be."""
        if stored.pixels.dtype.kind == "f":
            return
        low, high = 0, 1
        if not stored.bilevel:
            info = np.iinfo(stored.pixels.dtype)
            low, high = int(info.min), int(info.max)
        if stored.palette is not None:
            high = stored.colors - 1
        if not (float(self._fill).is_integer() and low <= self._fill <= high):
            raise ValueError(
                f"{path}: {stored.kind}; --fill: expected a whole number from {low} to "
                f"{high}, found {self._fill:g}"
            )


def _has_two_values(pixels: np.ndarray) -> bool:
    low, high = pixels.min(), pixels.max()
    return bool(low < high and ((pixels == low) | (pixels == high)).all())

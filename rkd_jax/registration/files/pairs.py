"""A pair of photographs on disk."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two photographs to register; benchmarks add the annotation in subclasses.

    Attributes:
        name: unique, such as "S01".
        fixed: path of the image whose frame is kept.
        moving: path of the other one.

    >>> Pair("eye", pathlib.Path("a.png"), pathlib.Path("b.png")).landmarks().shape
    (0, 4)
    """

    name: str
    fixed: pathlib.Path
    moving: pathlib.Path

    def landmarks(self) -> np.ndarray:
        """Return the annotation `[N, 4]`: x_fixed, y_fixed, x_moving, y_moving."""
        return np.zeros((0, 4))

    def source(self) -> pathlib.Path:
        """Return the file of the annotation, for errors; without one, the image."""
        return self.fixed

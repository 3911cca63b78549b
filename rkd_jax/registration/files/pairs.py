"""A pair of photographs on disk."""

from __future__ import annotations

import pathlib
from typing import NamedTuple


class Pair(NamedTuple):
    """Two photographs to register.

    Attributes:
        name: unique, such as "S01".
        fixed: path of the image whose frame is kept.
        moving: path of the other one.
        annotation: file of landmarks in both, of pairs of a benchmark.
    """

    name: str
    fixed: pathlib.Path
    moving: pathlib.Path
    annotation: pathlib.Path | None = None

    def files(self) -> list[pathlib.Path]:
        """Return all files of the pair.

        >>> len(Pair("eye", pathlib.Path("a.png"), pathlib.Path("b.png")).files())
        2
        """
        files = (self.fixed, self.moving, self.annotation)
        return [path for path in files if path is not None]

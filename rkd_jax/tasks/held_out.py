"""Held-out examples of a run, each made when an evaluation first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


class HeldOut:
    """Random access to examples that are the same at every evaluation.

    As many as fit stay in memory: an evaluation reads all of them in order, so that the
    first ones are as good as any.

    Args:
        names: of the examples.
        make: returns the example of an index.
        cache_mb: memory for made examples in MiB.

    >>> import numpy as np
    >>> squares = HeldOut(["0", "1", "2"], lambda i: {"x": np.array(i**2)}, cache_mb=1)
    >>> [int(example["x"]) for example in squares]
    [0, 1, 4]
    """

    def __init__(
        self,
        names: Sequence[str],
        make: Callable[[int], dict[str, np.ndarray]],
        *,
        cache_mb: float,
    ):
        self.names = tuple(names)
        self._make = make
        self._free = cache_mb * 2**20
        self._kept: dict[int, dict[str, np.ndarray]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        index = range(len(self))[index]
        if index in self._kept:
            return self._kept[index]
        example = self._make(index)
        needed = sum(array.nbytes for array in example.values())
        if needed <= self._free:
            self._free -= needed
            self._kept[index] = example
        return example

"""Random access to examples: what training and evaluation ask of data."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

Example = dict[str, Any]  # NumPy arrays of any shape; held-out ones may hold text


class Source(Protocol):
    """Examples by index; `__getitem__` is called from several threads.

    Attributes:
        names: of the examples, for errors.
        groups: int `[N]`, what a sampler goes by: 1 labeled and 0 not, a class, a
            patient.
    """

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def groups(self) -> np.ndarray: ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """Return an example; all of a source have the same keys, shapes and dtypes.

        Raises:
            IndexError: there are not so many.
        """


class CachedSource:
    """A source whose examples are made when they are asked for, and then kept.

    What is kept is counted in bytes, all arrays of an example together. As many stay as
    fit, and none makes way for another: an epoch reads each example once, so that the
    least recently used ones are those that are read next.

    Args:
        make: returns what is kept of example `index`; called from several threads.
        names: of the examples.
        groups: int `[N]`; None: all 0.
        cache_mb: memory in MiB; 0 keeps none.
        unpack: makes an example out of what is kept, on each access.

    >>> source = CachedSource(lambda i: {"volume": np.full((2, 2, 2), i)}, ["a", "b"])
    >>> len(source), source[1]["volume"].sum().item(), source.groups.tolist()
    (2, 8, [0, 0])
    """

    def __init__(
        self,
        make: Callable[[int], Example],
        names: Sequence[str],
        *,
        groups: Sequence[int] | np.ndarray | None = None,
        cache_mb: float = 0,
        unpack: Callable[[Example], Example] = dict,
    ) -> None:
        self.names = tuple(names)
        self.groups = np.zeros(len(names), int) if groups is None else np.array(groups)
        if self.groups.shape != (len(names),):
            raise ValueError(
                f"groups have the shape {self.groups.shape}; expected one number for "
                f"each of the {len(names)} names"
            )
        self._make, self._unpack = make, unpack
        self._free = int(cache_mb * 2**20)
        self._kept: dict[int, Example] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        index = range(len(self))[index]
        example = self._kept.get(index)
        if example is None:
            example = self._make(index)
            size = sum(np.asarray(value).nbytes for value in example.values())
            with self._lock:
                if size <= self._free and index not in self._kept:
                    self._kept[index] = example
                    self._free -= size
        return self._unpack(example)


def unpack_image(kept: Example) -> Example:
    """Return an example whose "image" was kept with 8 bits a pixel.

    Args:
        kept: "image" is uint8 `[H, W]`, or `[H, W, C]`; other arrays stay.

    Returns:
        The same with "image" float32 `[H, W, C]` in 0..1; C is 1 where there was none.

    >>> unpack_image({"image": np.full((2, 3), 255, np.uint8)})["image"].shape
    (2, 3, 1)
    """
    image = kept["image"].astype(np.float32) / np.float32(255.0)
    return {**kept, "image": image[..., None] if image.ndim == 2 else image}

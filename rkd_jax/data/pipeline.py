"""Grain input pipeline: in a sampler's order, batched, shared by processes, resumable.

Global batch g is the part [g * G, (g + 1) * G) of the sampler's list; process p of n
reads the p-th of n equal parts of that. So one process or several see the same global
batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rkd_jax.data.sampling import Sampler
from rkd_jax.data.source import Source

_ENDLESS = 2**40  # examples; Grain wants a length


class Batches:
    """Batches of this process, without end; each is a dict of arrays.

    The source's arrays are stacked along a new first axis. "record" int32 [B] is each
    example's number in the source, "example" int32 [B] its place in the global batch.

    Args:
        source: what is read.
        sampler: in which order.
        batch_size: examples of a batch of this process, B.
        process_index, process_count: which share of each global batch is read.
        num_threads: reading threads; 0 reads in the calling thread.

    Raises:
        ValueError: an empty source, a share that does not exist, or a batch that is not
            of the size that the sampler is made for.

    >>> from rkd_jax.data.sampling import InOrder
    >>> source = [{"x": np.array(i)} for i in range(6)]
    >>> reader = Batches(source, InOrder(6), batch_size=2, num_threads=0)
    >>> [next(reader)["x"].tolist() for _ in range(4)]
    [[0, 1], [2, 3], [4, 5], [0, 1]]
    """

    def __init__(
        self,
        source: Source,
        sampler: Sampler,
        *,
        batch_size: int,
        process_index: int = 0,
        process_count: int = 1,
        num_threads: int = 4,
    ) -> None:
        if len(source) == 0:
            raise ValueError("the source is empty; expected at least one example")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size}; expected at least 1")
        if not 0 <= process_index < process_count:
            raise ValueError(
                f"process_index={process_index} of process_count={process_count}; "
                "expected 0 <= process_index < process_count"
            )
        self._global_size = batch_size * process_count
        _check_size(sampler, self._global_size)
        self._source, self._sampler = source, sampler
        self._size, self._first = batch_size, process_index * batch_size
        self._threads = num_threads
        self._done = 0
        self._reader: Any = None

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        if self.begins_round:
            self._sampler.begin(self._done // self._round)
            self._close()
        if self._reader is None:
            self._reader = self._open()
        batch = next(self._reader)
        self._done += 1
        return batch

    @property
    def begins_round(self) -> bool:
        """Whether the next batch depends on the losses of all batches before it."""
        return bool(self._round) and self._done % self._round == 0

    def record(self, examples: dict[str, np.ndarray]) -> None:
        """Give the sampler the losses of a global batch.

        Args:
            examples: "record" and "example" `[G]` of the batch, and "loss" `[G]`.
        """
        if self._round and "loss" in examples:
            order = np.argsort(examples["example"])
            self._sampler.record(examples["record"][order], examples["loss"][order])

    def describe(self, batch: dict[str, np.ndarray]) -> str:
        """Return the names of the examples of a batch, for errors."""
        return ", ".join(self._source.names[int(i)] for i in batch["record"])

    def get_state(self) -> dict[str, Any]:
        """Return the position as JSON takes it; `set_state` goes on exactly there."""
        state: dict[str, Any] = {"next_index": self._done}
        sampler = self._sampler.get_state()
        return {**state, "sampler": sampler} if sampler else state

    def set_state(self, state: dict[str, Any]) -> None:
        """Go to a position.

        Raises:
            ValueError: it is that of another source or sampler.
        """
        if ("sampler" in state) != bool(self._sampler.get_state()):
            raise ValueError(
                "the saved position is that of another kind of sampler; use another "
                "--workdir"
            )
        self._close()
        self._done = state["next_index"]
        self._sampler.set_state(state.get("sampler", {}))

    @property
    def _round(self) -> int:
        """Batches of a round; 0: there are no rounds."""
        return (self._sampler.round_size or 0) // self._global_size

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def _open(self) -> Any:
        """Return a reader from here to the end of the round."""
        import grain

        last = _ENDLESS
        if self._round:
            last = (self._done // self._round + 1) * self._round * self._size
        options = grain.ReadOptions(
            num_threads=self._threads, prefetch_buffer_size=max(2 * self._threads, 2)
        )
        dataset = grain.MapDataset.range(self._done * self._size, last)
        batched = dataset.map(self._read).batch(self._size)
        return iter(batched.to_iter_dataset(options))

    def _read(self, i: int) -> dict[str, np.ndarray]:
        batch, place = divmod(i, self._size)
        place += self._first
        index = self._sampler[batch * self._global_size + place]
        numbers = {"record": index, "example": place}
        return {
            **self._source[index],
            **{name: np.array(value, np.int32) for name, value in numbers.items()},
        }


def _check_size(sampler: Sampler, size: int) -> None:
    if sampler.batch_size not in (None, size):
        raise ValueError(
            f"a global batch of {size}; the sampler gives batches of "
            f"{sampler.batch_size}"
        )
    if sampler.round_size is not None and sampler.round_size % size:
        raise ValueError(
            f"a round of {sampler.round_size} examples is not a whole number of global "
            f"batches of {size}"
        )

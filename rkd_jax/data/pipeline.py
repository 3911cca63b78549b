"""Grain input pipeline: shuffled, batched, shared by processes, and resumable.

The order of examples is one endless list that depends on the seed and on the number
of examples only: each epoch is a new permutation. Global batch g is its part
[g * G, (g + 1) * G); process p of n reads the p-th of n equal parts of that. So one
process or several see the same global batches.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rkd_jax.data.sources import make_source, synthetic_pairs

__all__ = ["batches", "synthetic_pairs", "make_source"]

_ENDLESS = 2**40  # examples; Grain wants a length


def batches(
    source: Any,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    process_index: int = 0,
    process_count: int = 1,
    num_threads: int = 4,
    labeled_share: float = 0.0,
) -> Any:
    """Iterate over batches without end.

    Args:
        source: random access to dicts of arrays, as `make_source` gives.
        batch_size: examples of a batch of this process, B.
        seed: of the shuffling.
        shuffle: a new order each epoch; False keeps the order of the source.
        process_index, process_count: which share of each global batch is read.
        num_threads: reading threads; 0 reads in the calling thread.
        labeled_share: share of labeled examples in the order, each kind shuffled by
            itself; 0 takes all images equally often. Needs a source that has
            `n_labeled`, labeled examples first.

    Returns:
        A Grain iterator of dicts: the source's arrays stacked along a new first axis,
        "record" int32 [B], each example's index in the source, and "example" int32
        [B], its place in the global batch. Its
        `get_state()` is a dict of plain numbers, to be saved as JSON; after
        `set_state` it goes on exactly there.

    Raises:
        ValueError: an empty source, or a share that does not exist.

    >>> source = [{"x": np.array(i)} for i in range(6)]
    >>> reader = batches(source, batch_size=2, seed=0, shuffle=False, num_threads=0)
    >>> [next(reader)["x"].tolist() for _ in range(4)]
    [[0, 1], [2, 3], [4, 5], [0, 1]]
    """
    import grain

    if len(source) == 0:
        raise ValueError("the source is empty; expected at least one example")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}; expected at least 1")
    if not 0 <= process_index < process_count:
        raise ValueError(
            f"process_index={process_index} of process_count={process_count}; expected "
            "0 <= process_index < process_count"
        )
    parts, weights = [(0, len(source))], None
    if labeled_share:
        labeled = source.n_labeled
        if not 0 < labeled_share < 1 or not 0 < labeled < len(source):
            raise ValueError(
                f"labeled_share={labeled_share} of {len(source)} images, {labeled} "
                "of them labeled; expected a share in (0, 1) and images of both kinds"
            )
        parts = [(0, labeled), (labeled, len(source))]
        weights = [labeled_share, 1 - labeled_share]
    orders = [grain.MapDataset.range(*part) for part in parts]
    if shuffle:
        # Grain shuffles epoch e by seed + e; spread seeds, so that no two share orders.
        spread = np.random.SeedSequence(seed).generate_state(len(orders))
        orders = [o.shuffle(seed=int(s)) for o, s in zip(orders, spread)]
    orders = [o.repeat() for o in orders]
    order = grain.MapDataset.mix(orders, weights) if weights else orders[0]
    first = process_index * batch_size

    def read(i: int) -> dict[str, np.ndarray]:
        batch, place = divmod(i, batch_size)
        place += first
        index = order[batch * batch_size * process_count + place]
        numbers = {"record": index, "example": place}
        return {
            **source[index],
            **{name: np.array(value, np.int32) for name, value in numbers.items()},
        }

    options = grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=max(2 * num_threads, 2)
    )
    dataset = grain.MapDataset.range(_ENDLESS).map(read).batch(batch_size)
    return iter(dataset.to_iter_dataset(options))

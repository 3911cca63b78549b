"""What the training loop asks of a task."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

Array = jax.Array
PyTree = Any


class Aux(NamedTuple):
    """What a loss gives besides its value; a pytree.

    Attributes:
        metrics: scalars of this device, averaged over devices by the step.
        task_state: what the task keeps for the next step.
        collections: collections of variables that the step replaces by their mean
            over devices, such as `{"batch_stats": ...}`.
        examples: arrays `[b]` with one value an example of this device's share, for
            what goes by single examples; `sampling.Weighted` needs "loss".
    """

    metrics: dict[str, Array]
    task_state: PyTree
    collections: dict[str, PyTree] | None = None
    examples: dict[str, Array] | None = None


class Task(Protocol):
    """What the training loop asks of a task.

    A task may have two members more:
        `average`, a `tasks.average.Average` that the run keeps, as the teacher of the
            loss for example.
        `load(variables, weights)`, which returns fresh variables with those of a
            weights file in their place; without it, `tasks.merging.merge` does it.
    """

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh `(variables, task_state)` for batches like `batch`."""

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return the loss of one device's share of a batch, and what else it gives.

        `key` is the same on all devices and steps differ in it already; draws for an
        example fold in `batch["example"]`, its place in the global batch.
        """

    def evaluate(
        self, variables: PyTree, data: Sequence[dict[str, np.ndarray]]
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return `(metrics, pictures)` on held-out data; pictures are uint8 RGB.

        `data` is a list or a `data.source.Source`, which reads an item when asked.
        Of the metrics, `score` is the one to choose by; more is better.
        """

    def network(self, variables: PyTree) -> PyTree:
        """Return the part of the variables that is `model`'s, for a weights file."""

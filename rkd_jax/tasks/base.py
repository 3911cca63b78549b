"""What the training loop asks of a task."""

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
        collections: collections of variables that the step replaces, such as
            `{"batch_stats": ...}`; equal on all devices.
    """

    metrics: dict[str, Array]
    task_state: PyTree
    collections: dict[str, PyTree] | None = None


class Task(Protocol):
    """What the training loop asks of a task."""

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
        self, variables: PyTree, data: list[dict[str, np.ndarray]]
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return `(metrics, pictures)` on held-out data; pictures are uint8 RGB.

        Of the metrics, `score` is the one to choose by; more is better.
        """

    def network(self, variables: PyTree) -> PyTree:
        """Return the part of the variables that is `model`'s, for a weights file."""

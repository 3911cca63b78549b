"""What training asks of a task: its module, its held-out data and its loss.

`training` knows tasks by these protocols alone.
"""

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from rkd_jax.config import Config, Stage, TaskConfig
from rkd_jax.data.source import Source
from rkd_jax.tasks.average import Average
from rkd_jax.tasks.merging import merge
from rkd_jax.weights import Weights

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
            what goes by single examples; `weighted.Weighted` needs "loss".
    """

    metrics: dict[str, Array]
    task_state: PyTree
    collections: Mapping[str, PyTree] | None = None
    examples: dict[str, Array] | None = None


class Task(Protocol):
    """What the training loop asks of a task; a subclass of this has the defaults.

    Attributes:
        average: a moving average of the variables that the run keeps for the task, as
            the teacher of its loss for example; None: none.
    """

    average: Average | None = None

    @abc.abstractmethod
    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh `(variables, task_state)` for batches like `batch`."""

    @abc.abstractmethod
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

        `key` is the same on all devices and differs between steps; draws for an
        example fold in `batch["example"]`, its place in the global batch.
        """

    @abc.abstractmethod
    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return `(metrics, pictures)` on held-out data; pictures are uint8 RGB.

        The metric `score` chooses the best weights of a run; higher is better.
        """

    def load(self, variables: PyTree, weights: PyTree) -> PyTree:
        """Return fresh variables with those of a weights file in their place.

        By default the file holds the whole network or branches of it; a task that has
        the network inside another tree (a backbone) puts it there.
        """
        return merge(variables, weights)

    def network(self, variables: PyTree) -> PyTree:
        """Return the part of the variables that is `config.model`'s, for a file.

        By default all: the inverse of `load`.
        """
        return variables


class TaskModule(Protocol):
    """What a module in `rkd_jax.tasks.TASKS` exports.

    It may also export `sampler(config, source)`, which returns the order in which
    training reads examples (`rkd_jax.data.sampling`); without it, they are shuffled,
    labeled ones in the share `config.data.labeled_share`. And `choose(config, source,
    given)`, which returns the examples that a run reads, where they depend on the
    weights that it uses, such as hard negatives; without it, all of the source. And
    `measure(config, task, variables, source, held_out)`, which returns what is known of
    a trained network, such as a temperature; it is added to `preprocess` in the weights
    file.

    Attributes:
        CONFIG: the class of `config.task`.
    """

    CONFIG: type[TaskConfig]

    @staticmethod
    def make(
        config: Config,
        source: Source,
        given: Mapping[str, Weights],
        axis_name: str | None,
    ) -> Task:
        """Return the task of one run.

        Args:
            config: validated.
            source: of `training_source`.
            given: weights that the run uses, by role. The loss gets the variables of
                `teacher`, and the network starts from `start`.
            axis_name: mapped axis over which the loss averages; None for one device.
        """

    @staticmethod
    def training_source(config: Config) -> Source:
        """Return the examples that a run trains on.

        Raises:
            FileNotFoundError, ValueError: the data are missing or bad.
        """

    @staticmethod
    def held_out(config: Config) -> Source | None:
        """Return the examples that a run is evaluated on, if any."""

    @staticmethod
    def stages(config: Config) -> list[Stage]:
        """Return the runs of an experiment in order; its own is the last one."""

    @staticmethod
    def preprocess(config: Config) -> dict[str, Any]:
        """Return how inputs are prepared and outputs read, for the weights file."""

    @staticmethod
    def must_agree(config: Config, role: str) -> set[str]:
        """Return the keys of `preprocess` that must equal those of a weights file.

        Args:
            config: of the run that uses the file.
            role: what the file is used for, such as "start" or "teacher".
        """

"""Everything that the next step depends on."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from rkd_jax.tasks.base import Task

Array = jax.Array
PyTree = Any


@flax.struct.dataclass
class TrainState:
    """The state of a run; a pytree of arrays, replicated over devices.

    Attributes:
        step: int32 scalar, steps done.
        key: uint32 `[2]`, the run's key; a step folds its number in.
        variables: all collections, `{"params": ..., "batch_stats": ...}`.
        optimizer: Optax state.
        average: moving average of the variables, or None.
        task_state: what the task keeps between steps, such as value maps.
    """

    step: Array
    key: Array
    variables: PyTree
    optimizer: PyTree
    average: PyTree | None
    task_state: PyTree


def init_state(
    task: Task,
    optimizer: optax.GradientTransformation,
    batch: dict[str, Array],
    *,
    seed: int,
    average: bool = False,
    variables: PyTree | None = None,
) -> TrainState:
    """Return the state before the first step.

    Args:
        task: see `rkd_jax.tasks.base.Task`.
        optimizer: its state is made for the variables.
        batch: shapes only are read.
        seed: of the whole run.
        average: keep a moving average of the variables.
        variables: of a weights file, which `task.load` puts in place of fresh ones.

    Raises:
        ValueError: `variables` hold an array that the network has not, or in another
            shape; the message names it.
    """
    key_init, key_run = jax.random.split(jax.random.PRNGKey(seed))
    fresh, task_state = task.init(key_init, batch)
    variables = fresh if variables is None else task.load(fresh, variables)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        key=key_run,
        variables=variables,
        optimizer=optimizer.init(variables["params"]),
        average=jax.tree.map(jnp.copy, variables) if average else None,
        task_state=task_state,
    )

"""Everything the next step depends on, and the optimiser that moves it."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

Array = jax.Array
PyTree = Any


@flax.struct.dataclass
class TrainState:
    """The state of a run; a pytree of arrays, replicated over devices.

    Attributes:
        step: int32 scalar, steps done.
        key: uint32 `[2]`, the run's key; a step folds its number in.
        variables: the network's variables (`{"params": ...}`).
        optimizer: Optax state.
        average: moving average of the variables, or None.
        task_state: what the task keeps (value maps).
    """

    step: Array
    key: Array
    variables: PyTree
    optimizer: PyTree
    average: PyTree | None
    task_state: PyTree


def make_optimizer(
    *,
    lr: float,
    steps: int,
    schedule: str = "constant",
    warmup_steps: int = 0,
    weight_decay: float = 0.0,
    clip_norm: float = 0.0,
) -> optax.GradientTransformation:
    """Return Adam (AdamW with `weight_decay`) under a schedule.

    Args:
        lr: peak learning rate.
        steps: length of the run, for the cosine.
        schedule: "constant" (the paper's) or "cosine" to zero.
        warmup_steps: linear rise from 0.
        weight_decay: decoupled; 0 is plain Adam.
        clip_norm: global gradient norm; 0 does not clip.
    """
    if schedule == "cosine":
        main = optax.cosine_decay_schedule(lr, max(steps - warmup_steps, 1))
    else:
        main = optax.constant_schedule(lr)
    if warmup_steps:
        rise = optax.linear_schedule(0.0, lr, warmup_steps)
        main = optax.join_schedules([rise, main], [warmup_steps])
    adam = (
        optax.adamw(main, weight_decay=weight_decay)
        if weight_decay
        else (optax.adam(main))
    )
    if clip_norm:
        return optax.chain(optax.clip_by_global_norm(clip_norm), adam)
    return adam


def init_state(
    task: Any,
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
        variables: of a weights file that `task.load` puts in the place of fresh ones.
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

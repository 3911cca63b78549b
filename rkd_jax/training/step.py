"""The compiled step, and moving trees to and from the devices.

The one file that knows `pmap`; what runs inside uses only named-axis collectives.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.training.state import TrainState

PyTree = Any
AXIS = "data"


def make_train_step(
    task: Any,
    optimizer: optax.GradientTransformation,
    *,
    ema_decay: float = 0.0,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[
    [TrainState, PyTree, dict[str, jax.Array]],
    tuple[TrainState, dict[str, jax.Array]],
]:
    """Return `step(state, teacher, batch) -> state, metrics`, compiled by `pmap`.

    State and teacher are replicated (`replicate`), the batch is `shard`ed; the state is
    donated. Metrics are averaged over devices, equal on all, and hold `grad_norm`.

    Args:
        task: see `rkd_jax.tasks.base.Task`; its loss must reduce over the axis `AXIS`.
        optimizer: applied to `variables["params"]`.
        ema_decay: of the moving average, used if the state has one.
        devices: run on these; default all of all processes.
    """

    def step(
        state: TrainState, teacher: PyTree, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        def loss_fn(params: PyTree) -> Any:
            variables = {**state.variables, "params": params}
            key = jax.random.fold_in(state.key, state.step)
            return task.loss(
                variables, state.task_state, teacher, batch, key, state.step
            )

        params = state.variables["params"]
        grads, aux = jax.grad(loss_fn, has_aux=True)(params)
        grads = jax.lax.pmean(grads, AXIS)
        # Optax relies on implicit promotion, which our strict tests forbid elsewhere.
        with jax.numpy_dtype_promotion("standard"):
            updates, opt_state = optimizer.update(grads, state.optimizer, params)
        variables = {
            **state.variables,
            **(aux.collections or {}),
            "params": optax.apply_updates(params, updates),
        }
        average = state.average
        if average is not None:
            average = optax.incremental_update(variables, average, 1.0 - ema_decay)
        metrics = jax.lax.pmean(aux.metrics, AXIS)
        metrics = {**metrics, "grad_norm": optax.tree.norm(grads)}
        return TrainState(
            step=state.step + 1,
            key=state.key,
            variables=variables,
            optimizer=opt_state,
            average=average,
            task_state=aux.task_state,
        ), metrics

    return jax.pmap(step, axis_name=AXIS, donate_argnums=(0,), devices=devices)


def replicate(tree: PyTree, devices: Sequence[jax.Device] | None = None) -> PyTree:
    """Copy a tree of arrays to the devices, with a leading device axis."""
    if not jax.tree.leaves(tree):
        return tree
    count = len(devices) if devices else jax.local_device_count()
    # Under the name of the step's axis: its results must come back as the same kind of
    # array, or the second step is compiled anew.
    place = jax.pmap(lambda _, x: x, axis_name=AXIS, in_axes=(0, None), devices=devices)
    return place(jnp.zeros((count,)), tree)


def first_replica(tree: PyTree) -> PyTree:
    """Return this process's first copy of a replicated tree, as NumPy arrays."""

    def first(x: jax.Array) -> np.ndarray:
        return np.asarray(x.addressable_data(0))[0]

    return jax.tree.map(first, tree)


def shard(
    batch: dict[str, np.ndarray], count: int | None = None
) -> dict[str, np.ndarray]:
    """Split `[B, ...]` arrays into `[count, B / count, ...]`.

    Args:
        batch: of this process.
        count: devices; default all of this process.

    Raises:
        ValueError: the local devices do not divide the batch.
    """
    count = count or jax.local_device_count()
    size = next(iter(batch.values())).shape[0]
    if size % count:
        raise ValueError(
            f"the {count} devices of this process cannot share its batch of {size}; "
            "choose config.data.batch_size as a multiple of all devices"
        )
    return {k: v.reshape(count, size // count, *v.shape[1:]) for k, v in batch.items()}

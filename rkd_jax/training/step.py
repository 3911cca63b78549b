"""The compiled step, and moving trees to and from the devices.

The only file that uses `pmap`; losses use collectives over its named axis alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Task
from rkd_jax.training.state import TrainState

PyTree = Any
AXIS = "data"


def make_train_step(
    task: Task,
    optimizer: optax.GradientTransformation,
    *,
    average: Average | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Callable[
    [TrainState, PyTree, dict[str, jax.Array]],
    tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]],
]:
    """Return `step(state, teacher, batch) -> state, metrics, examples`.

    State and teacher are replicated (`replicate`), the batch is `shard`ed; the state is
    donated. What is returned is equal on all devices: metrics, averaged over devices,
    with `grad_norm`; and `Aux.examples` of the whole global batch, with "record" and
    "example" of the batch, or {}.

    The step replaces the collections of `Aux` by their mean over devices. Statistics of
    BatchNorm depend on how many devices there are, unless its `axis_name` is `AXIS`:
    then all devices normalize by the statistics of the global batch.

    Args:
        task: see `rkd_jax.tasks.base.Task`; its loss must reduce over the axis `AXIS`.
        optimizer: applied to `variables["params"]`.
        average: how `state.average` moves; None: there is none. If it is the teacher,
            the loss gets it instead of `teacher`.
        devices: run on these; default all of all processes.

    Raises:
        ValueError: when it is first called: the loss returns a collection that `init`
            did not.
    """

    def step(
        state: TrainState, teacher: PyTree, batch: dict[str, jax.Array]
    ) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
        if average is not None and average.is_teacher:
            teacher = jax.lax.stop_gradient(state.average)

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
            **_collections(aux.collections or {}, state.variables),
            "params": optax.apply_updates(params, updates),
        }
        averaged = state.average
        if average is not None:
            averaged = average.move(averaged, variables, state.step)
        metrics = jax.lax.pmean(aux.metrics, AXIS)
        metrics = {**metrics, "grad_norm": optax.tree.norm(grads)}
        examples = {}
        if aux.examples:
            numbers = {name: batch[name] for name in ("record", "example")}
            examples = jax.lax.all_gather({**aux.examples, **numbers}, AXIS, tiled=True)
        return (
            TrainState(
                step=state.step + 1,
                key=state.key,
                variables=variables,
                optimizer=opt_state,
                average=averaged,
                task_state=aux.task_state,
            ),
            metrics,
            examples,
        )

    return jax.pmap(step, axis_name=AXIS, donate_argnums=(0,), devices=devices)


def _collections(given: Mapping[str, PyTree], variables: PyTree) -> dict[str, PyTree]:
    """Return a loss's collections, averaged over devices where they are not counts."""
    strange = sorted(given.keys() - (variables.keys() - {"params"}))
    if strange:
        raise ValueError(
            f"the loss returns the collections {', '.join(strange)}, which the task's "
            f"init did not; it returned {', '.join(sorted(variables))}"
        )

    def mean(x: jax.Array) -> jax.Array:
        counts = not jnp.issubdtype(x.dtype, jnp.inexact)
        return x if counts else jax.lax.pmean(x, AXIS)

    return jax.tree.map(mean, given)


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

"""The step: the same on any number of devices, statistics and teacher included."""

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from toy import VolumeTask, volumes

from rkd_jax.data.pipeline import Batches
from rkd_jax.data.sampling import Balanced
from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Aux
from rkd_jax.training import state, step

TEACHER = Average(0.6, warm_up=True, is_teacher=True)


def balanced():
    """Return batches of four volumes: two groups, two of each."""
    source = volumes()
    order = Balanced(source.groups, count=2, per_group=2, seed=1)
    return Batches(source, order, batch_size=4, num_threads=0)


def take_steps(task, count, steps=4):
    """Return the states and metrics of each step on some devices."""
    devices, batches = jax.devices()[:count], balanced()
    # Adam would blow up differences of rounding in gradients near zero.
    optimizer = optax.sgd(0.1)
    average = task.average
    start = state.init_state(
        task, optimizer, next(balanced()), seed=0, average=average is not None
    )
    moving = step.replicate(start, devices)
    step_fn = step.make_train_step(task, optimizer, average=average, devices=devices)
    seen = []
    for _ in range(steps):
        batch = next(batches)
        results = step_fn(moving, None, step.shard(batch, count))
        moving = results[0]
        seen.append((batch, *(step.first_replica(part) for part in results)))
    return start, seen


@pytest.fixture(scope="module")
def one():
    return take_steps(VolumeTask(TEACHER), 1)


@pytest.mark.parametrize("count", [2, 4])
def test_volumes_batch_statistics_and_teacher_on_any_number_of_devices(one, count):
    for many, single in zip(take_steps(VolumeTask(TEACHER), count)[1], one[1]):
        _, now, metrics, examples = many
        _, expected, expected_metrics, expected_examples = single
        for ours, theirs in zip(
            jax.tree.leaves((now.variables, now.average, metrics)),
            jax.tree.leaves((expected.variables, expected.average, expected_metrics)),
            strict=True,
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
        for name in ("record", "example"):
            np.testing.assert_array_equal(examples[name], expected_examples[name])
        np.testing.assert_allclose(
            examples["loss"], expected_examples["loss"], rtol=1e-4
        )


def test_statistics_are_those_of_the_global_batch():
    start, ((batch, after, _, _), *_) = take_steps(VolumeTask(), 4, steps=1)
    conv = nn.Conv(2, (2, 2, 2))
    x = conv.apply({"params": start.variables["params"]["conv"]}, batch["volume"])
    found = after.variables["batch_stats"]["norm"]
    over = (0, 1, 2, 3)
    np.testing.assert_allclose(found["mean"], 0.1 * np.mean(x, over), rtol=1e-4)
    np.testing.assert_allclose(found["var"], 0.9 + 0.1 * np.var(x, over), rtol=1e-4)


def test_the_teacher_is_the_average_before_the_step_and_warms_up(one):
    start, seen = one
    teacher = jax.tree.map(np.float64, start.variables)
    for number, (_, now, metrics, _) in enumerate(seen):
        kernel = teacher["params"]["head"]["kernel"][0, 0]
        np.testing.assert_allclose(metrics["teacher_kernel"], kernel, rtol=1e-5)
        kept = min(1 - 1 / (number + 1), 0.6)
        teacher = jax.tree.map(
            lambda old, new, kept=kept: kept * old + (1 - kept) * np.float64(new),
            teacher,
            now.variables,
        )
        assert "batch_stats" in now.average
        jax.tree.map(
            lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-5),
            now.average,
            teacher,
        )
    first = seen[0][1]
    jax.tree.map(np.testing.assert_array_equal, first.average, first.variables)


def test_values_of_examples_come_with_their_records(one):
    _, seen = one
    for batch, _, metrics, examples in seen:
        np.testing.assert_array_equal(examples["record"], batch["record"])
        assert examples["loss"].shape == (4,)
        assert "loss" in metrics


def test_a_collection_that_init_did_not_return_is_named():
    class Strange(VolumeTask):
        def loss(self, *arguments):
            total, aux = super().loss(*arguments)
            return total, Aux(aux.metrics, {}, {"cache": {}, **aux.collections})

    with pytest.raises(ValueError, match=r"collections cache, .* batch_stats, params"):
        take_steps(Strange(), 1, steps=1)


def test_batches_that_devices_cannot_share_are_refused():
    with pytest.raises(ValueError, match="batch of 3"):
        step.shard({"x": np.zeros((3, 2))}, 2)

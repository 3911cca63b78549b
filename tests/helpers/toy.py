"""Tasks that train in milliseconds, their data, and what a run wrote."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.data.source import CachedSource
from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.reductions import global_mean


@dataclasses.dataclass(frozen=True)
class LineTask(Task):
    """y = w x + noise drawn per example; the task state counts examples seen."""

    axis_name: str | None = "data"
    poison_step: int = -1

    def init(self, key, batch):
        variables = {"params": {"w": jax.random.normal(key, ())}}
        return variables, {"seen": jnp.zeros((), jnp.int32)}

    def loss(self, variables, task_state, teacher, batch, key, step):
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        noise = jax.vmap(lambda k: jax.random.normal(k, ()))(keys)
        error = variables["params"]["w"] * batch["x"] - batch["y"] - 0.1 * noise
        ones = jnp.ones_like(error)
        fit = global_mean(error**2, ones, self.axis_name)
        poison = jnp.where(step == self.poison_step, jnp.nan, 0.0)
        teacher_term = 0.0 if teacher is None else 0.0 * teacher["w"]
        total = fit + poison + teacher_term
        seen = jax.lax.psum(jnp.sum(ones), "data").astype(jnp.int32)
        state = {"seen": task_state["seen"] + seen}
        return total, Aux({"loss": total, "fit": fit, "poison": poison}, state)

    def evaluate(self, variables, data):
        score = -float(abs(variables["params"]["w"] - 3.0))
        return {"score": score}, {"picture": np.zeros((4, 4, 3), np.uint8)}


class Batches:
    """Endless batches of 4 with a position; `at` maps a position to a callback."""

    begins_round = False

    def __init__(self, at=None):
        self.position, self.at = 0, at or {}

    def get_state(self):
        return {"position": self.position}

    def set_state(self, state):
        self.position = state["position"]

    def describe(self, batch):
        return "image a.jpg"

    def __next__(self):
        self.at.get(self.position, lambda: None)()
        self.position += 1
        x = np.random.default_rng(self.position).normal(size=4).astype(np.float32)
        return {
            "x": x,
            "y": 3 * x,
            "example": np.arange(4, dtype=np.int32),
            "record": np.arange(4, dtype=np.int32),
        }


class VolumeNet(nn.Module):
    """A 3-D convolution, BatchNorm over all devices, and the mean as the answer."""

    @nn.compact
    def __call__(self, volumes, *, train):
        x = nn.Conv(2, (2, 2, 2), name="conv")(volumes)
        x = nn.BatchNorm(not train, momentum=0.9, axis_name="data", name="norm")(x)
        x = nn.tanh(x).mean(axis=(1, 2, 3))
        return nn.Dense(1, name="head")(x)[:, 0]


@dataclasses.dataclass(frozen=True)
class VolumeTask(Task):
    """Guess a number of a volume; BatchNorm, per-example losses, an average's advice.

    With an average, half of the loss is the distance to what the teacher answers.
    """

    average: Average | None = None

    def init(self, key, batch):
        return VolumeNet().init(key, batch["volume"][:1], train=False), {}

    def loss(self, variables, task_state, teacher, batch, key, step):
        answer, collections = VolumeNet().apply(
            variables, batch["volume"], train=True, mutable=["batch_stats"]
        )
        error = (answer - batch["target"]) ** 2
        total = global_mean(error, jnp.ones_like(error), "data")
        metrics = {"loss": total}
        if teacher is not None:
            advice = VolumeNet().apply(teacher, batch["volume"], train=False)
            gap = (answer - advice) ** 2
            total = (total + global_mean(gap, jnp.ones_like(gap), "data")) / 2
            first = teacher["params"]["head"]["kernel"][0, 0]
            metrics = {"loss": total, "teacher_kernel": first}
        return total, Aux(metrics, task_state, collections, {"loss": error})

    def evaluate(self, variables, data):
        answers = [
            VolumeNet().apply(variables, item["volume"][None], train=False)
            for item in data
        ]
        targets = [item["target"] for item in data]
        return {"score": -float(np.abs(np.ravel(answers) - targets).mean())}, {}


def volumes(count=12):
    """Return a source of volumes `[4, 3, 2, 1]`, in three groups."""

    def make(i):
        rng = np.random.default_rng(i)
        volume = rng.normal(size=(4, 3, 2, 1)).astype(np.float32)
        return {"volume": volume, "target": np.float32(volume.max())}

    names = [f"volume {i}" for i in range(count)]
    return CachedSource(make, names, groups=np.arange(count) % 3)


def lines(workdir):
    """Return what a run wrote into its `metrics.jsonl`."""
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]

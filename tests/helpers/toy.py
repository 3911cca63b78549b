"""A task that trains in milliseconds: fit a line; its batches; what a run wrote."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.tasks.base import Aux
from rkd_jax.tasks.reductions import global_mean


@dataclasses.dataclass(frozen=True)
class LineTask:
    """y = w x + noise drawn per example; the task state counts examples seen."""

    axis_name: str | None = "data"
    poison_step: int = -1

    def init(self, key, batch):
        variables = {"params": {"w": jax.random.normal(key, ())}}
        return variables, {"seen": jnp.zeros((), jnp.int32)}

    def network(self, variables):
        return variables

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


def lines(workdir):
    """Return what a run wrote into its `metrics.jsonl`."""
    text = (workdir / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]

"""Loss and score."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.reductions import global_mean

# The teacher is the moving average of the student.
AVERAGE = Average(decay=0.9, warm_up=True, is_teacher=True)


@dataclasses.dataclass(frozen=True)
class GradingTask(Task):
    model: nn.Module
    teacher_weight: float
    axis_name: str | None
    average: Average | None = AVERAGE

    def init(self, key, batch):
        """Return fresh variables and the task's state (here none)."""
        return self.model.init(key, batch["image"][:1]), {}

    def loss(self, variables, task_state, teacher, batch, key, step):
        """Return the loss of this device's share of the batch, and `Aux`."""
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        images = jax.vmap(mirrored_or_not)(keys, batch["image"])
        logits, collections = self.model.apply(
            variables, images, train=True, mutable=["batch_stats"]
        )
        errors = optax.softmax_cross_entropy_with_integer_labels(logits, batch["grade"])
        wanted = jax.lax.stop_gradient(self.model.apply(teacher, images))
        apart = jnp.mean((logits - wanted) ** 2, axis=-1)
        ones = jnp.ones_like(errors)
        label = global_mean(errors, ones, self.axis_name)
        follow = global_mean(apart, ones, self.axis_name)
        total = label + self.teacher_weight * follow
        metrics = {"loss": total, "label": label, "teacher": follow}
        return total, Aux(metrics, task_state, collections)

    def evaluate(self, variables, data):
        """Return metrics and pictures; `score` chooses the best network."""
        found = predict(self.model, variables, data)
        return {"score": float(np.mean(found == data.groups))}, {}


def mirrored_or_not(key, image):
    return jnp.where(jax.random.bernoulli(key), image[:, ::-1], image)


def predict(model, variables, source):
    """Return the grades `[N]` that a network finds; one picture at a time is read."""
    apply = jax.jit(model.apply)
    images = (source[index]["image"] for index in range(len(source)))
    return np.array([int(apply(variables, one[None]).argmax()) for one in images])

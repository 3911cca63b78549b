"""The moving average of a student."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
PyTree = Any


@dataclasses.dataclass(frozen=True)
class Average:
    """The moving average of a student's variables, and what it serves.

    A run keeps one average at most. It may be the teacher of the loss, or what is
    evaluated and written to the weights file, or both.

    Attributes:
        decay: share of the old average that a step keeps.
        warm_up: step t = 0, 1, ... keeps min(1 - 1 / (t + 1), decay): the average is
            that of all steps at first, and the first step replaces it.
        is_teacher: the loss gets it as `teacher`, as it was before the step.
        is_evaluated: evaluation and weights files take it instead of the student.
        writes_student: where it is evaluated, the student has a weights file as well.
    """

    decay: float
    warm_up: bool = False
    is_teacher: bool = False
    is_evaluated: bool = True
    writes_student: bool = False

    def move(self, average: PyTree, variables: PyTree, step: Array) -> PyTree:
        """Return the moving average after a step.

        Args:
            average: before the step.
            variables: after the step.
            step: int32 scalar, steps done before it.

        >>> teacher = Average(0.99, warm_up=True)
        >>> start, student = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
        >>> teacher.move(start, student, jnp.array(0))["w"].tolist()
        [1.0, 1.0]
        """
        share: Any = 1.0 - self.decay
        if self.warm_up:
            share = jnp.maximum(1.0 / (step + 1).astype(jnp.float32), share)

        def one(old: Array, new: Array) -> Array:
            # Counters have no average.
            if not jnp.issubdtype(new.dtype, jnp.inexact):
                return new
            return share * new + (1.0 - share) * old

        return jax.tree.map(one, average, variables)

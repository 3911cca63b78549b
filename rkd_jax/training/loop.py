"""The training loop: resume, step, watch, evaluate, save, end on a signal."""

import dataclasses
import math
import pathlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax

from rkd_jax.data.pipeline import Batches
from rkd_jax.data.source import Source
from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Task
from rkd_jax.training import step as stepping
from rkd_jax.training.checkpoint import Checkpoints
from rkd_jax.training.report import Report
from rkd_jax.training.signals import Interrupted
from rkd_jax.training.state import TrainState, init_state

PyTree = Any


class NonFiniteLossError(FloatingPointError):
    """A term of the loss, or the gradient, is not a finite number."""


@dataclasses.dataclass(frozen=True)
class LoopOptions:
    """How long a run is and what happens along it, in steps.

    Attributes:
        steps: of the whole run.
        log_every: metrics are written.
        eval_every: held-out data are evaluated; 0 only at the end.
        checkpoint_every: the state is saved.
        keep: checkpoints kept.
        seed: of the run.
        ema_decay: of the average of the variables that is evaluated; 0 is off. A task
            with an `average` of its own decides itself, and this is 0.
    """

    steps: int
    log_every: int = 20
    eval_every: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    seed: int = 0
    ema_decay: float = 0.0


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What a run is scored on.

    Attributes:
        data: for `task.evaluate`; a source reads an item when it is asked for.
        name: which data these are; a best score on others counts no more.
        on_best: called with the variables and metrics of each new best `score`.
    """

    data: Sequence[dict[str, np.ndarray]] | Source
    name: str = ""
    on_best: Callable[[PyTree, dict[str, float]], None] | None = None


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished run leaves: NumPy variables and its last evaluation.

    Attributes:
        variables: that were evaluated.
        metrics: of the last evaluation.
        student: of the network itself, where `Average.writes_student` asks for them.
    """

    variables: PyTree
    metrics: dict[str, float]
    student: PyTree | None = None


def train(
    task: Task,
    optimizer: optax.GradientTransformation,
    batches: Batches,
    options: LoopOptions,
    *,
    workdir: pathlib.Path,
    title: str,
    teacher: PyTree = None,
    variables: PyTree | None = None,
    evaluation: Evaluation | None = None,
    stop: threading.Event | None = None,
) -> RunResult:
    """Train a task; go on from the newest checkpoint in `workdir`, if there is one.

    Args:
        task: see `rkd_jax.tasks.base.Task`, with its `axis_name` set to `step.AXIS`.
        optimizer: of the parameters.
        batches: what is trained on.
        options: lengths and intervals.
        workdir: of this run.
        title: what progress lines begin with.
        teacher: variables given to the loss, frozen; None if the task has none, or one
            that is the average of its student.
        variables: start from these, or subtrees of these; see `state.init_state`.
        evaluation: what is evaluated; None: nothing.
        stop: once set, the run saves and ends; see `signals.stop_signals`.

    Raises:
        NonFiniteLossError: names step, term and batch.
        Interrupted: after `stop` was set, once the state is saved.
        CheckpointError: the checkpoint is damaged.
        ValueError: two averages are asked for, or `variables` do not fit.
    """
    primary = jax.process_index() == 0
    average = _average(task, options)
    position = batches.get_state()
    example = next(batches)
    batches.set_state(position)
    state = init_state(
        task,
        optimizer,
        example,
        seed=options.seed,
        average=average is not None,
        variables=variables,
    )
    checkpoints = Checkpoints(workdir, keep=options.keep)
    latest, best = checkpoints.latest(), -math.inf
    if latest is not None:
        state, saved = checkpoints.restore(latest, jax.device_get(state))
        batches.set_state(saved["position"])
        name = evaluation.name if evaluation else ""
        if saved.get("held_out", name) == name and saved["best"] is not None:
            best = saved["best"]
    report = Report(workdir, title, options.steps, latest or 0, primary)
    if latest:
        report.say(f"going on from step {latest}")
    run = _Run(task, options, batches, checkpoints, report, evaluation, average, best)
    try:
        step_fn = stepping.make_train_step(task, optimizer, average=average)
        # Under the old names, so that the first copies are freed.
        state, teacher = stepping.replicate(state), stepping.replicate(teacher)
        return run.go(state, latest or 0, step_fn, teacher, stop or threading.Event())
    finally:
        report.close()
        checkpoints.close()


def _average(task: Task, options: LoopOptions) -> Average | None:
    """Return the one average of a run, if it has any."""
    own = task.average
    if own is not None and options.ema_decay:
        raise ValueError(
            f"config.optim.ema_decay is {options.ema_decay}, but this task keeps an "
            f"average of its own, with decay {own.decay}; set config.optim.ema_decay=0"
        )
    if own is None and options.ema_decay:
        return Average(options.ema_decay)
    return own


@dataclasses.dataclass
class _Seen:
    """A step whose results are still on the devices."""

    step: int
    metrics: dict[str, jax.Array]
    examples: dict[str, jax.Array]
    batch: dict[str, np.ndarray]


@dataclasses.dataclass
class _Run:
    """The parts of a run that its phases share."""

    task: Task
    options: LoopOptions
    batches: Batches
    checkpoints: Checkpoints
    report: Report
    evaluation: Evaluation | None
    average: Average | None
    best: float
    # The last step, while its metrics have not been read.
    unread: _Seen | None = None

    def go(
        self,
        state: TrainState,
        done: int,
        step_fn: Callable[..., Any],
        teacher: PyTree,
        stop: threading.Event,
    ) -> RunResult:
        options = self.options
        waited, metrics = 0.0, {}
        if done < options.steps:
            self.report.first_step()
        for step in range(done + 1, options.steps + 1):
            if self.batches.begins_round:
                self._read()
            asked = time.monotonic()
            batch = next(self.batches)
            waited += time.monotonic() - asked
            state, latest, examples = step_fn(state, teacher, stepping.shard(batch))
            # The metrics of the step before are read while this one runs, so that the
            # device never waits for the host.
            self._read()
            self.unread = _Seen(step, latest, examples, batch)
            saves = step % options.checkpoint_every == 0 or step == options.steps
            evaluates = step == options.steps or (
                options.eval_every and step % options.eval_every == 0
            )
            logs = step % options.log_every == 0
            if step == done + 1 or logs or saves or evaluates:
                values = self._read()
                if step == done + 1:
                    waited = 0.0
                    self.report.compiled(step)
                if logs or step == options.steps:
                    size = len(batch["example"]) * jax.process_count()
                    self.report.scalars(step, values, group="train")
                    self.report.progress(step, values, batch=size, waited_s=waited)
            self.report.advance()
            if evaluates:
                metrics = self._evaluate(step, state)
            # Evaluation takes long: a signal that came meanwhile counts.
            stops = _any_process(stop, logs or step == options.steps)
            if saves or stops:
                self._read()
                self._save(step, state)
            if stops:
                raise Interrupted(f"stopped by a signal at step {step}; it is saved")
        if done >= options.steps:
            metrics = self._evaluate(options.steps, state, again=True)
            if _any_process(stop, True):
                raise Interrupted(f"stopped by a signal; all {done} steps are saved")
        return RunResult(
            self._evaluated_variables(state), metrics, self._student(state)
        )

    def _student(self, state: TrainState) -> PyTree | None:
        """Return the student's own variables, where they are to be written as well."""
        average = self.average
        wanted = average is not None and average.is_evaluated and average.writes_student
        return stepping.first_replica(state.variables) if wanted else None

    def _read(self) -> dict[str, float]:
        """Return the metrics of the last step, if not read yet; refuse infinite ones.

        What the step gave for each example goes to the batches.
        """
        seen, self.unread = self.unread, None
        if seen is None:
            return {}
        metrics = stepping.first_replica(seen.metrics)
        values = {k: float(v) for k, v in metrics.items()}
        bad = [k for k, v in values.items() if not math.isfinite(v) and k != "loss"]
        if bad or not math.isfinite(values["loss"]):
            found = ", ".join(f"{k} = {values[k]}" for k in bad or ["loss"])
            whose = "batch"
            if jax.process_count() > 1:
                whose = f"part of the batch on process {jax.process_index()}"
            raise NonFiniteLossError(
                f"step {seen.step}: {found}; the {whose} was "
                f"{self.batches.describe(seen.batch)}. Nothing of this step was saved; "
                "examine these images, or lower config.optim.lr"
            )
        if seen.examples:
            self.batches.record(stepping.first_replica(seen.examples))
        return values

    def _evaluated_variables(self, state: TrainState) -> PyTree:
        averaged = self.average is not None and self.average.is_evaluated
        source = state.average if averaged else state.variables
        return stepping.first_replica(source)

    def _evaluate(
        self, step: int, state: TrainState, *, again: bool = False
    ) -> dict[str, float]:
        """Evaluate and report; `again` only returns what was reported before.

        Every process evaluates, so that none waits for the first in the next step's
        collectives longer than these allow.
        """
        if self.evaluation is None:
            return {}
        variables = self._evaluated_variables(state)
        metrics, pictures = self.task.evaluate(variables, self.evaluation.data)
        if again:
            return metrics
        self.report.scalars(step, metrics, group="eval")
        self.report.pictures(step, pictures)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
        self.report.say(f"evaluation at step {step}: {shown}")
        if metrics["score"] > self.best:
            self.best = metrics["score"]
            if self.evaluation.on_best is not None:
                self.evaluation.on_best(variables, {"step": step, **metrics})
        return metrics

    def _save(self, step: int, state: TrainState) -> None:
        best = self.best if math.isfinite(self.best) else None
        data = {
            "position": self.batches.get_state(),
            "best": best,
            "held_out": self.evaluation.name if self.evaluation else "",
        }
        self.checkpoints.save(step, stepping.first_replica(state), data)


def _any_process(stop: threading.Event, ask: bool) -> bool:
    """Whether a signal reached any process, so that all stop at the same step.

    Several processes only `ask` each other now and then: it costs a host round trip.
    """
    if jax.process_count() == 1:
        return stop.is_set()
    if not ask:
        return False
    from jax.experimental import multihost_utils

    flags = multihost_utils.process_allgather(np.array([stop.is_set()]))
    return bool(flags.any())

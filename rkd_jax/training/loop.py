"""The training loop: resume, step, watch, evaluate, save, end on a signal."""

import dataclasses
import math
import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from rkd_jax.training import step as stepping
from rkd_jax.training.checkpoint import Checkpoints
from rkd_jax.training.report import Report
from rkd_jax.training.signals import Interrupted
from rkd_jax.training.state import TrainState, init_state

PyTree = Any


class NonFiniteLossError(FloatingPointError):
    """A term of the loss, or the gradient, is not a finite number."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long a run is and what happens along it, in steps.

    Attributes:
        steps: of the whole run.
        log_every: metrics are written.
        eval_every: held-out data are evaluated; 0 only at the end.
        checkpoint_every: the state is saved.
        keep: checkpoints kept.
        seed: of the run.
        ema_decay: of the averaged parameters that are evaluated; 0 is off.
        held_out: which data are evaluated; a best score on other data counts no more.
    """

    steps: int
    log_every: int = 20
    eval_every: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    seed: int = 0
    ema_decay: float = 0.0
    held_out: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished run leaves: NumPy variables and its last evaluation."""

    variables: PyTree
    metrics: dict[str, float]


def train(
    task: Any,
    optimizer: optax.GradientTransformation,
    batches: Any,
    plan: Plan,
    *,
    workdir: pathlib.Path,
    title: str,
    teacher: PyTree = None,
    variables: PyTree | None = None,
    eval_data: list[dict[str, np.ndarray]] | None = None,
    on_best: Callable[[PyTree, dict[str, float]], None] | None = None,
    describe: Callable[[dict[str, np.ndarray]], str] = lambda batch: "",
    stop: threading.Event | None = None,
) -> Outcome:
    """Train a task; go on from the newest checkpoint in `workdir`, if there is one.

    Args:
        task: see `rkd_jax.tasks.base.Task`, with its `axis_name` set to `step.AXIS`.
        optimizer: of the parameters.
        batches: iterator of NumPy batches (this process's share), with
            `get_state()` and `set_state()`.
        plan: lengths and intervals.
        workdir: of this run.
        title: what progress lines begin with.
        teacher: variables handed to the loss, frozen.
        variables: start from these instead of fresh ones.
        eval_data: held-out data for `task.evaluate`; none are evaluated without.
        on_best: called with the variables and metrics of each new best `score`.
        describe: names a batch in the message of a non-finite loss.
        stop: once set, the run saves and ends; see `signals.stop_signals`.

    Raises:
        NonFiniteLossError: names step, term and batch.
        Interrupted: after `stop` was set, once the state is saved.
        CheckpointError: the checkpoint is damaged.
    """
    primary = jax.process_index() == 0
    position = batches.get_state()
    example = next(batches)
    batches.set_state(position)
    state = init_state(
        task,
        optimizer,
        example,
        seed=plan.seed,
        average=plan.ema_decay > 0,
        variables=variables,
    )
    checkpoints = Checkpoints(workdir, keep=plan.keep)
    latest, best = checkpoints.latest(), -math.inf
    if latest is not None:
        state, saved = checkpoints.restore(latest, jax.device_get(state))
        batches.set_state(saved["position"])
        same_data = saved.get("held_out", plan.held_out) == plan.held_out
        if same_data and saved["best"] is not None:
            best = saved["best"]
    report = Report(workdir, title, plan.steps, latest or 0, primary)
    if latest:
        report.say(f"going on from step {latest}")
    run = _Run(task, plan, checkpoints, report, eval_data, on_best, best)
    try:
        step_fn = stepping.make_train_step(task, optimizer, ema_decay=plan.ema_decay)
        # Under the old names, so that the first copies are freed.
        state, teacher = stepping.replicate(state), stepping.replicate(teacher)
        stop = stop or threading.Event()
        return run.go(state, latest or 0, step_fn, teacher, batches, describe, stop)
    finally:
        report.close()
        checkpoints.close()


@dataclasses.dataclass
class _Run:
    """The parts of a run that its phases share."""

    task: Any
    plan: Plan
    checkpoints: Checkpoints
    report: Report
    eval_data: list[dict[str, np.ndarray]] | None
    on_best: Callable[[PyTree, dict[str, float]], None] | None
    best: float

    def go(
        self,
        state: TrainState,
        done: int,
        step_fn: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
        teacher: PyTree,
        batches: Any,
        describe: Callable[[dict[str, np.ndarray]], str],
        stop: threading.Event,
    ) -> Outcome:
        plan = self.plan
        before: tuple[int, dict[str, jax.Array], dict[str, np.ndarray]] | None = None
        waited, size, metrics = 0.0, 0, {}
        if done < plan.steps:
            self.report.first_step()
        for step in range(done + 1, plan.steps + 1):
            asked = time.monotonic()
            batch = next(batches)
            waited += time.monotonic() - asked
            size = len(batch["example"]) * jax.process_count()
            state, latest = step_fn(state, teacher, stepping.shard(batch))
            # The step before is looked at while this one runs, so that the device
            # never waits for the host.
            if before is not None:
                self._watch(*before, describe)
            before = (step, latest, batch)
            saves = step % plan.checkpoint_every == 0 or step == plan.steps
            evaluates = step == plan.steps or (
                plan.eval_every and step % plan.eval_every == 0
            )
            if step == done + 1 or step % plan.log_every == 0 or saves or evaluates:
                values = self._watch(*before, describe)
                before = None
                if step == done + 1:
                    waited = 0.0
                    self.report.compiled(step)
                if step % plan.log_every == 0 or step == plan.steps:
                    self.report.scalars(step, values, group="train")
                    self.report.progress(step, values, batch=size, waited_s=waited)
            self.report.advance()
            if evaluates:
                metrics = self._evaluate(step, state)
            # Evaluation takes long: a signal that came meanwhile counts.
            stops = _any_process(stop, step % plan.log_every == 0 or step == plan.steps)
            if saves or stops:
                if before is not None:
                    self._watch(*before, describe)
                    before = None
                self._save(step, state, batches)
            if stops:
                raise Interrupted(f"stopped by a signal at step {step}; it is saved")
        if done >= plan.steps:
            metrics = self._evaluate(plan.steps, state, again=True)
            if _any_process(stop, True):
                raise Interrupted(f"stopped by a signal; all {done} steps are saved")
        return Outcome(self._evaluated_variables(state), metrics)

    def _watch(
        self,
        step: int,
        metrics: dict[str, jax.Array],
        batch: dict[str, np.ndarray],
        describe: Callable[[dict[str, np.ndarray]], str],
    ) -> dict[str, float]:
        """Return a step's metrics; refuse any that is not finite."""
        values = {k: float(v) for k, v in stepping.first_replica(metrics).items()}
        bad = [k for k, v in values.items() if not math.isfinite(v) and k != "loss"]
        if bad or not math.isfinite(values["loss"]):
            found = ", ".join(f"{k} = {values[k]}" for k in bad or ["loss"])
            whose = "batch"
            if jax.process_count() > 1:
                whose = f"part of the batch on process {jax.process_index()}"
            raise NonFiniteLossError(
                f"step {step}: {found}; the {whose} was {describe(batch)}. Nothing of "
                "this step was saved; look at these images, or lower config.optim.lr"
            )
        return values

    def _evaluated_variables(self, state: TrainState) -> PyTree:
        source = state.variables if state.average is None else state.average
        return stepping.first_replica(source)

    def _evaluate(
        self, step: int, state: TrainState, *, again: bool = False
    ) -> dict[str, float]:
        """Evaluate and report; `again` only returns what was reported before.

        Every process evaluates, so that none waits for the first in the next step's
        collectives longer than these allow.
        """
        if self.eval_data is None:
            return {}
        variables = self._evaluated_variables(state)
        metrics, pictures = self.task.evaluate(variables, self.eval_data)
        if again:
            return metrics
        self.report.scalars(step, metrics, group="eval")
        self.report.pictures(step, pictures)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
        self.report.say(f"evaluation at step {step}: {shown}")
        if metrics["score"] > self.best:
            self.best = metrics["score"]
            if self.on_best is not None:
                self.on_best(variables, {"step": step, **metrics})
        return metrics

    def _save(self, step: int, state: TrainState, batches: Any) -> None:
        best = self.best if math.isfinite(self.best) else None
        data = {
            "position": batches.get_state(),
            "best": best,
            "held_out": self.plan.held_out,
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

"""An experiment and the runs that it is made of, one after the other.

Pre-training of the encoder, the teacher, the student without teacher for comparison,
and the experiment itself: each a run of `loop.train` with a work directory of its own.
"""

import copy
import dataclasses
import logging
import os
import pathlib
import threading
from collections.abc import Iterator
from typing import Any

import jax
import optax
from jax.experimental import multihost_utils

from rkd_jax import config as schema
from rkd_jax import models, tasks
from rkd_jax.data import pipeline
from rkd_jax.training import given as files
from rkd_jax.training import loop, state, step
from rkd_jax.training import workdir as folder
from rkd_jax.training.signals import stop_signals

PyTree = Any
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run: its config, work directory, and name in the progress lines."""

    title: str
    config: schema.Config
    workdir: pathlib.Path


def stages(config: schema.Config, workdir: pathlib.Path) -> list[Stage]:
    """Return the runs that an experiment is made of, in order; the last is its own.

    Args:
        config: validated.
        workdir: of the experiment.
    """
    plan = []
    if config.pretrain.steps and not config.init_weights:
        plan.append(Stage("encoder", _pretraining(config), workdir / "pretraining"))
    if config.task.distill and not config.teacher.weights:
        plan.append(Stage("teacher", _teacher(config), workdir / "teacher"))
    if config.compare_scratch:
        plan.append(Stage("scratch", _derived(config), workdir / "scratch"))
    return [
        *plan,
        Stage("student" if config.task.distill else "network", config, workdir),
    ]


def run(
    config: schema.Config, workdir: str | os.PathLike[str]
) -> dict[str, dict[str, float]]:
    """Train every stage of an experiment and return each stage's last metrics.

    Args:
        config: validated here.
        workdir: made if absent; a run found in it goes on.

    Raises:
        Interrupted: SIGTERM or SIGINT came; the run is saved.
        NonFiniteLossError: the loss of a step is not a number.
        OSError, ValueError: the config or the data are not usable, or the work
            directory holds a run of another config.
    """
    config.validate()
    workdir = pathlib.Path(workdir).absolute()
    plan = stages(config, workdir)
    # What the last stage will not take is told before the first one has run.
    given = files.check(config)
    for stage in plan:
        folder.claim(stage.workdir, stage.config)
    results: dict[str, dict[str, float]] = {}
    held_out: dict[str, Any] = {}  # by task: its stages are scored on the same data
    with stop_signals() as stop:
        for stage in plan:
            if stage.title == "teacher":
                logger.info("no teacher given: training one in %s", stage.workdir)
            name = stage.config.task.name
            if name not in held_out:
                held_out[name] = tasks.held_out(stage.config)
            results[stage.title] = _run_stage(stage, given, held_out[name], stop)
            path = str(stage.workdir / folder.WEIGHTS)
            if stage.title == "teacher":
                given = dataclasses.replace(given, teacher=path)
            elif stage.title == "encoder":
                given = dataclasses.replace(given, start=path)
    folder.save_results(workdir, results)
    return results


def _derived(config: schema.Config) -> schema.Config:
    """Return a copy without stages of its own."""
    derived = copy.deepcopy(config)
    derived.compare_scratch = False
    derived.task.distill = False
    derived.pretrain.steps = 0
    derived.teacher = schema.TeacherConfig()
    return derived


def _teacher(config: schema.Config) -> schema.Config:
    derived = _derived(config)
    derived.model = copy.deepcopy(config.teacher.model)
    derived.loop.steps = config.teacher.steps
    derived.optim.lr = config.teacher.lr
    derived.init_weights = ""
    return derived


def _pretraining(config: schema.Config) -> schema.Config:
    derived = _derived(config)
    derived.task.name = "pretraining"
    derived.loop.steps = config.pretrain.steps
    derived.optim.lr = config.pretrain.lr
    return derived


def _run_stage(
    stage: Stage, given: files.Given, eval_data: Any, stop: threading.Event
) -> dict[str, float]:
    """Train one stage and write its weights; return its last metrics."""
    config, workdir = stage.config, stage.workdir
    source = tasks.training_source(config)
    folder.claim_data(workdir, source)
    batches = _batches(config, source)
    logger.info(
        "%s: %d images (%d labelled), %d processes, %d devices",
        stage.title,
        len(source),
        source.n_labelled,
        jax.process_count(),
        jax.device_count(),
    )
    task, teacher = _task(config, source, given)
    start = None
    # The encoder starts the student with and without teacher alike.
    if given.start and stage.title != "teacher":
        start = files.load(given.start, config.model).variables

    def save(name: str, variables: PyTree, metrics: dict[str, float]) -> None:
        network = task.network(variables)
        folder.save_weights(workdir / name, config, network, metrics)

    outcome = loop.train(
        task,
        _optimizer(config),
        batches,
        loop.Plan(
            steps=config.loop.steps,
            log_every=config.loop.log_every,
            eval_every=config.loop.eval_every,
            checkpoint_every=config.loop.checkpoint_every,
            keep=config.loop.keep,
            seed=config.seed,
            ema_decay=config.optim.ema_decay,
        ),
        workdir=workdir,
        title=stage.title,
        teacher=teacher,
        variables=start,
        eval_data=eval_data,
        on_best=lambda variables, metrics: save(folder.BEST, variables, metrics),
        describe=lambda batch: ", ".join(source.names[int(i)] for i in batch["record"]),
        stop=stop,
    )
    save(folder.WEIGHTS, outcome.variables, outcome.metrics)
    if jax.process_count() > 1:
        # The next stage of every process reads what the first one has just written.
        multihost_utils.sync_global_devices(f"weights of {stage.title}")
    return outcome.metrics


def _task(
    config: schema.Config, source: Any, given: files.Given
) -> tuple[tasks.Task, PyTree]:
    """Return the task of a stage, and its teacher's variables if it has one."""
    teacher_model = teacher = teacher_grid = None
    if config.task.distill:
        loaded = files.load(given.teacher, config.teacher.model)
        teacher = loaded.variables
        teacher_grid = loaded.preprocess.get("descriptor_grid")
        how = {"compute_dtype": config.teacher.model.compute_dtype}
        teacher_model = models.build(loaded.model, **{**loaded.options, **how})
    task = tasks.build(
        config.task,
        model=models.build(config.model.name, **config.model.options()),
        crop=config.data.crop,
        labeled=source.n_labelled,
        steps_per_epoch=max(len(source) // config.data.batch_size, 1),
        teacher_model=teacher_model,
        teacher_grid=teacher_grid,
        axis_name=step.AXIS,
    )
    return task, teacher


def _optimizer(config: schema.Config) -> optax.GradientTransformation:
    return state.make_optimizer(
        lr=config.optim.lr,
        steps=config.loop.steps,
        schedule=config.optim.schedule,
        warmup_steps=config.optim.warmup_steps,
        weight_decay=config.optim.weight_decay,
        clip_norm=config.optim.clip_norm,
    )


def _batches(config: schema.Config, source: Any) -> Iterator[dict[str, Any]]:
    """Return this process's share of the batches."""
    count = jax.process_count()
    size = config.data.batch_size
    if size % count:
        raise ValueError(
            f"config.data.batch_size is {size}, which {count} processes cannot share; "
            "choose a multiple"
        )
    mixed = 0 < source.n_labelled < len(source)
    return pipeline.batches(
        source,
        batch_size=size // count,
        seed=config.seed,
        shuffle=True,
        process_index=jax.process_index(),
        process_count=count,
        num_threads=config.data.num_threads,
        labelled_share=config.data.labeled_share if mixed else 0.0,
    )

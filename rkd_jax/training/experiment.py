"""An experiment: the runs that its task lists (`TaskModule.stages`), one by one.

Each is a `loop.train` in a work directory of its own; a run may hand its weights to the
runs after it.
"""

import dataclasses
import logging
import os
import pathlib
import threading
from typing import Any

import jax
import optax
from jax.experimental import multihost_utils

from rkd_jax import config as schema
from rkd_jax import tasks
from rkd_jax.data import pipeline, sampling
from rkd_jax.data.source import Source
from rkd_jax.training import loop, optimizer, run_folder, start_weights, step
from rkd_jax.training.signals import stop_signals

PyTree = Any
logger = logging.getLogger(__name__)


def run(
    config: schema.Config, workdir: str | os.PathLike[str]
) -> dict[str, dict[str, float]]:
    """Train every stage of an experiment and return each stage's last metrics.

    Args:
        config: validated here.
        workdir: made if absent; a run found in it goes on.

    Returns:
        A dict for each stage by its title, empty without held-out data.

    Raises:
        CheckpointError: a run found there cannot be read.
        Interrupted: SIGTERM or SIGINT came; the run is saved.
        NonFiniteLossError: the loss of a step is not a number.
        OSError, ValueError: config, data or a weights file are not usable, the
            processes cannot share a batch, or the work directory holds a run of another
            config or of other images.
    """
    config.validate()
    workdir = pathlib.Path(workdir).absolute()
    plan = tasks.load(config.task.name).stages(config)
    # What a later stage refuses is named before the first one runs, and before the
    # directory belongs to this config.
    named = {s.title: start_weights.find_named(s.config, s.takes) for s in plan}
    given: dict[str, str] = {}
    sources: dict[str, tuple[Source, Source | None]] = {}
    # Once a stage has begun with the weights of another, that one's length is settled.
    roles = {stage.gives for stage in plan}
    users = [stage for stage in plan if roles & set(stage.takes)]
    begun = any(run_folder.steps_done(workdir / s.folder) for s in users)
    # The last stage's config is the one that was typed: it names what has changed.
    for stage in reversed(plan):
        module = tasks.load(stage.config.task.name)
        run_folder.check(workdir / stage.folder, stage.config, begun=begun)
        _batch_share(stage.config)
        _optimizer(stage.config)
        source = module.training_source(stage.config)
        run_folder.check_data(workdir / stage.folder, source)
        sources[stage.title] = source, module.held_out(stage.config)
    for stage in plan:
        run_folder.claim(workdir / stage.folder, stage.config)
    results: dict[str, dict[str, float]] = {}
    with stop_signals() as stop:
        for stage in plan:
            own = workdir / stage.folder
            # Sources keep images in memory: they go with their stage.
            files = {**named[stage.title], **given}
            results[stage.title] = _run_stage(
                stage, own, files, *sources.pop(stage.title), stop
            )
            if stage.gives:
                given[stage.gives] = str(own / run_folder.WEIGHTS)
    run_folder.save_results(workdir, results)
    return results


def _run_stage(
    stage: schema.Stage,
    workdir: pathlib.Path,
    files: dict[str, str],
    source: Source,
    held_out: Source | None,
    stop: threading.Event,
) -> dict[str, float]:
    """Train one stage and write its weights; return its last metrics.

    Args:
        stage: which.
        workdir: its own.
        files: weights files by role; it reads those of the roles that it takes.
        source: what it trains on.
        held_out: what it is evaluated on, if anything.
        stop: once set, it saves and ends.
    """
    config = stage.config
    run_folder.claim_data(workdir, source)
    if jax.process_index() == 0:
        logger.info(
            "%s: %d examples, %d processes, %d devices, in %s",
            stage.title,
            len(source),
            jax.process_count(),
            jax.device_count(),
            workdir,
        )
    used = {
        role: start_weights.load_for(config, role, files[role])
        for role in stage.takes
        if role in files
    }
    module = tasks.load(config.task.name)
    if choose := getattr(module, "choose", None):
        source = choose(config, source, used)
    task = module.make(config, source, used, step.AXIS)
    start, teacher = (
        used[role].variables if role in used else None for role in ("start", "teacher")
    )

    def save(
        name: str, variables: PyTree, metrics: dict[str, float], **facts: Any
    ) -> None:
        network = task.network(variables)
        run_folder.save_weights(workdir / name, config, network, metrics, facts)

    evaluation = None
    if held_out is not None:
        evaluation = loop.Evaluation(
            held_out,
            run_folder.digest(held_out.names),
            lambda variables, metrics: save(run_folder.BEST, variables, metrics),
        )
    result = loop.train(
        task,
        _optimizer(config),
        _batches(config, source),
        _loop_options(config),
        workdir=workdir,
        title=stage.title,
        teacher=teacher,
        variables=start,
        evaluation=evaluation,
        stop=stop,
    )
    measure = getattr(module, "measure", None)
    trained = {run_folder.WEIGHTS: (result.variables, result.metrics)}
    if result.student is not None:
        trained[run_folder.STUDENT] = result.student, {}
    for name, (variables, metrics) in trained.items():
        facts = {}
        if measure is not None:
            facts = measure(config, task, variables, source, held_out)
        save(name, variables, metrics, **facts)
    if jax.process_count() > 1:
        # The next stage of every process reads what the first one has just written.
        multihost_utils.sync_global_devices(f"weights of {stage.title}")
    return result.metrics


def _loop_options(config: schema.Config) -> loop.LoopOptions:
    return loop.LoopOptions(
        steps=config.loop.steps,
        log_every=config.loop.log_every,
        eval_every=config.loop.eval_every,
        checkpoint_every=config.loop.checkpoint_every,
        keep=config.loop.keep,
        seed=config.seed,
        ema_decay=config.optim.ema_decay,
    )


def _optimizer(config: schema.Config) -> optax.GradientTransformation:
    return optimizer.make_optimizer(
        steps=config.loop.steps,
        **{
            field.name: getattr(config.optim, field.name)
            for field in dataclasses.fields(config.optim)
            if field.name != "ema_decay"
        },
    )


def _batch_share(config: schema.Config) -> int:
    """Return how many examples of a batch are this process's.

    Raises:
        ValueError: the devices of all processes cannot share it.
    """
    count, devices = jax.process_count(), jax.device_count()
    size = config.data.batch_size
    if size % count or size % devices:
        raise ValueError(
            f"config.data.batch_size is {size}, which {devices} devices of {count} "
            "processes cannot share; choose a multiple of the devices"
        )
    return size // count


def _batches(config: schema.Config, source: Source) -> pipeline.Batches:
    """Return this process's share of the batches."""
    sampler = getattr(tasks.load(config.task.name), "sampler", _by_groups)
    return pipeline.Batches(
        source,
        sampler(config, source),
        batch_size=_batch_share(config),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.data.num_threads,
    )


def _by_groups(config: schema.Config, source: Source) -> sampling.Sampler:
    share = config.data.labeled_share
    return sampling.by_groups(source.groups, share, seed=config.seed)

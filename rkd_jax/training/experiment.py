"""An experiment: the runs that `config.list_stages` lists, one after the other.

Each is a `loop.train` in a work directory of its own; encoder and teacher hand their
weights to later ones.
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
from rkd_jax import models, tasks
from rkd_jax.data import pipeline
from rkd_jax.training import loop, run_folder, state, step
from rkd_jax.training.given import Given, check_given, load_network
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
    plan = schema.list_stages(config)
    # What a later stage will not take is told before the first one has run, and before
    # the directory belongs to this config.
    given = check_given(config)
    sources, held_out = {}, {}
    # Stages that use the weights of an earlier one, whose length is then settled.
    users = [s for s in plan if s.takes_start]
    begun = any(run_folder.steps_done(workdir / s.folder) for s in users)
    # The last stage's config is the one that was typed: it names what has changed.
    for stage in reversed(plan):
        run_folder.check(workdir / stage.folder, stage.config, begun=begun)
        _batch_share(stage.config)
        sources[stage.title] = tasks.training_source(stage.config)
        run_folder.check_data(workdir / stage.folder, sources[stage.title])
        if stage.config.task.name not in held_out:
            held_out[stage.config.task.name] = tasks.held_out(stage.config)
    for stage in plan:
        run_folder.claim(workdir / stage.folder, stage.config)
    results: dict[str, dict[str, float]] = {}
    with stop_signals() as stop:
        for stage in plan:
            own = workdir / stage.folder
            # A source goes with its stage, and the images that it keeps.
            source, scored = sources.pop(stage.title), held_out[stage.config.task.name]
            results[stage.title] = _run_stage(stage, own, given, source, scored, stop)
            if stage.gives:
                path = str(own / run_folder.WEIGHTS)
                given = dataclasses.replace(given, **{stage.gives: path})
    run_folder.save_results(workdir, results)
    return results


def _run_stage(
    stage: schema.Stage,
    workdir: pathlib.Path,
    given: Given,
    source: Any,
    eval_data: Any,
    stop: threading.Event,
) -> dict[str, float]:
    """Train one stage and write its weights; return its last metrics."""
    config = stage.config
    run_folder.claim_data(workdir, source)
    if jax.process_index() == 0:
        logger.info(
            "%s: %d images (%d labeled), %d processes, %d devices, in %s",
            stage.title,
            len(source),
            source.n_labeled,
            jax.process_count(),
            jax.device_count(),
            workdir,
        )
    task, teacher = _task(config, source, given)
    start = None
    if stage.takes_start and given.start:
        start = load_network(given.start, config.model).variables

    def save(name: str, variables: PyTree, metrics: dict[str, float]) -> None:
        network = task.network(variables)
        run_folder.save_weights(workdir / name, config, network, metrics)

    outcome = loop.train(
        task,
        _optimizer(config),
        _batches(config, source),
        loop.Plan(
            steps=config.loop.steps,
            log_every=config.loop.log_every,
            eval_every=config.loop.eval_every,
            checkpoint_every=config.loop.checkpoint_every,
            keep=config.loop.keep,
            seed=config.seed,
            ema_decay=config.optim.ema_decay,
            held_out=f"{config.loop.eval_kind}, {config.loop.eval_pairs}",
        ),
        workdir=workdir,
        title=stage.title,
        teacher=teacher,
        variables=start,
        eval_data=eval_data,
        on_best=lambda variables, metrics: save(run_folder.BEST, variables, metrics),
        describe=lambda batch: ", ".join(source.names[int(i)] for i in batch["record"]),
        stop=stop,
    )
    save(run_folder.WEIGHTS, outcome.variables, outcome.metrics)
    if jax.process_count() > 1:
        # The next stage of every process reads what the first one has just written.
        multihost_utils.sync_global_devices(f"weights of {stage.title}")
    return outcome.metrics


def _task(
    config: schema.Config, source: Any, given: Given
) -> tuple[tasks.Task, PyTree]:
    """Return the task of a stage, and its teacher's variables if it has one."""
    teacher_model = teacher = teacher_grid = None
    if config.task.distill:
        loaded = load_network(given.teacher, config.teacher.model)
        teacher = loaded.variables
        teacher_grid = loaded.preprocess.get("descriptor_grid")
        how = {"compute_dtype": config.teacher.model.compute_dtype}
        teacher_model = models.build(loaded.model, **{**loaded.options, **how})
    task = tasks.build(
        config.task,
        model=models.build(config.model.name, **config.model.options()),
        crop=config.data.crop,
        labeled=source.n_labeled,
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


def _batches(config: schema.Config, source: Any) -> Any:
    """Return this process's share of the batches, as `pipeline.batches`."""
    mixed = 0 < source.n_labeled < len(source)
    return pipeline.batches(
        source,
        batch_size=_batch_share(config),
        seed=config.seed,
        shuffle=True,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.data.num_threads,
        labeled_share=config.data.labeled_share if mixed else 0.0,
    )

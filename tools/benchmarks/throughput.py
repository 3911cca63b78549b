"""Images a second of training with the real pipeline, beside the step alone."""

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import jax

from benchmarks import ours
from rkd_jax import tasks
from rkd_jax.config import Config
from rkd_jax.data import pipeline
from rkd_jax.training import state as states
from rkd_jax.training import step as stepping

PHOTOGRAPHS, LABELED = 16, 8


def measure(
    *, size: int, crop: int, batch: int, steps: int, precision: str, small: bool
) -> dict[str, Any]:
    """Train the U-Net recipe on synthetic photographs, as `rkd_jax.train` does.

    Source, batches and step are those of `training.experiment`; as in the loop, the
    metrics of a step are read while the next one runs. Checkpoints, evaluation and
    reports are left out. Every photograph is drawn before the clock starts.

    Args:
        size: Side of the photographs, px.
        crop: Side of the training crops, px.
        batch: Images a step.
        steps: Timed steps; as many on one batch, half of them before and half after.
        precision: "float32", "tf32" or "bfloat16".
        small: A tiny network.

    Returns:
        "images_per_s" with the pipeline, "fixed_images_per_s" of the step alone, and
        "waited_share", the part of the time in which the host waited for a batch.
    """
    config = Config()
    config.data.synthetic_labeled = LABELED
    config.data.synthetic_unlabeled = PHOTOGRAPHS - LABELED
    config.data.size, config.data.crop = size, crop
    # Keypoints expand from the first step, as they do in most of a real run.
    config.task.pke_start_epoch = 0
    source = tasks.training_source(config)
    for index in range(len(source)):
        source[index]
    batches = pipeline.batches(
        source, batch_size=batch, seed=0, num_threads=config.data.num_threads
    )
    task = tasks.build(
        config.task,
        model=ours.build("superretina", precision, small=small),
        crop=crop,
        labeled=source.n_labeled,
        steps_per_epoch=max(len(source) // batch, 1),
        axis_name=stepping.AXIS,
    )
    optimizer = states.make_optimizer(lr=config.optim.lr, steps=config.loop.steps)
    first = next(batches)
    trainer = _Trainer(task, optimizer, first)
    fixed, real = itertools.repeat(first), iter(batches)
    with ours.precise(precision):
        trainer.run(fixed, 2)
        before = trainer.run(fixed, steps // 2)[0]
        took, waited = trainer.run(real, steps)
        after = trainer.run(fixed, steps - steps // 2)[0]
    return {
        "steps": steps,
        "images_per_s": steps * batch / took,
        "fixed_images_per_s": steps * batch / (before + after),
        "waited_share": waited / took,
    }


class _Trainer:
    """State and step of a run."""

    def __init__(self, task: Any, optimizer: Any, example: dict):
        start = states.init_state(task, optimizer, example, seed=0)
        self.step = stepping.make_train_step(task, optimizer)
        self.state = stepping.replicate(start)

    def run(self, batches: Iterator[dict], steps: int) -> tuple[float, float]:
        """Take steps; return seconds in all, and those spent waiting for batches."""
        start, waited, before = time.perf_counter(), 0.0, None
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            self.state, metrics = self.step(self.state, None, stepping.shard(batch))
            if before is not None:
                _check(before)
            before = metrics
        _check(before)
        return time.perf_counter() - start, waited


def _check(metrics: dict[str, jax.Array]) -> None:
    values = {k: float(v) for k, v in stepping.first_replica(metrics).items()}
    if not math.isfinite(values["loss"]):
        raise FloatingPointError(f"a step of the benchmark ended with {values}")

"""Classes of images, with a student that follows its own average: CRCKD.

The functions are those of `rkd_jax.tasks.base.TaskModule`.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax.config import Config, Stage
from rkd_jax.tasks import networks
from rkd_jax.tasks.classification.config import (
    ClassificationConfig,
    ClassificationData,
    ClassifierModel,
)
from rkd_jax.tasks.distillation import distillation_stages

if TYPE_CHECKING:
    from rkd_jax.data.source import Source
    from rkd_jax.tasks.base import Task
    from rkd_jax.tasks.classification.task import ClassificationTask
    from rkd_jax.weights import Weights

__all__ = ["CONFIG", "ClassificationConfig", "ClassificationData", "ClassifierModel"]
CONFIG = ClassificationConfig


def make(
    config: Config,
    source: "Source",
    given: "Mapping[str, Weights]",
    axis_name: str | None = None,
) -> "ClassificationTask":
    """Return the task of one run; see `TaskModule.make`."""
    import numpy as np

    from rkd_jax.tasks.average import Average
    from rkd_jax.tasks.classification.banks import Members
    from rkd_jax.tasks.classification.data import parts
    from rkd_jax.tasks.classification.task import ClassificationTask, Facts

    options, data = ClassificationConfig.of(config), ClassificationData.of(config)
    train, teacher = parts(data)["train"], given.get("teacher")
    classes = len(train.classes)
    members = Members(source.groups, classes)
    weights = np.ones(classes, np.float32)
    if options.class_weights != "none":
        counts = members.counts
        if options.class_weights == "all":
            counts = sum(part.counts for part in parts(data).values())
        weights = (np.sum(counts) / counts).astype(np.float32)
    frozen = options.distill and teacher is not None
    epoch_steps = max(len(train) / data.batch_size, 1.0)
    _check_start(options, config.loop.steps / epoch_steps)
    return ClassificationTask(
        model=networks.build(config.model).clone(axis_name=axis_name),
        options=options,
        facts=Facts(
            members=members,
            class_weights=weights,
            epoch_steps=epoch_steps,
            ordered=train.ordered,
            size=data.size,
            mean=tuple(data.mean),
            std=tuple(data.std),
        ),
        teacher_model=networks.rebuild(teacher, options.teacher.model)
        if frozen
        else None,
        axis_name=axis_name,
        average=Average(
            options.average_decay,
            warm_up=True,
            is_teacher=not frozen,
            writes_student=True,
        ),
    )


def _check_start(options: ClassificationConfig, epochs: float) -> None:
    """Refuse terms that would never begin to count."""
    late = max(options.prediction_weight, options.relation_weight) > 0
    if late and options.start_epoch >= epochs:
        raise ValueError(
            f"config.task.start_epoch is {options.start_epoch}, but the run has "
            f"{epochs:.1f} epochs: the teacher's prediction and the relations would "
            "never count; set config.loop.steps higher or config.task.start_epoch "
            "lower, or config.task.prediction_weight and relation_weight 0"
        )


def training_source(config: Config) -> "Source":
    """Return the images that a run trains on.

    Raises:
        ValueError: the network has not one output a class; or see `TaskModule`.
    """
    from rkd_jax.tasks.classification.data import parts, source

    classes = parts(ClassificationData.of(config))["train"].classes
    if config.model.out_channels != len(classes):
        raise ValueError(
            f"config.model.out_channels is {config.model.out_channels}, but the images "
            f"have {len(classes)} classes ({', '.join(classes)}); set it to that"
        )
    return source(config, "train")


def held_out(config: Config) -> "Source | None":
    """Return the validation images, if any are asked for."""
    if not config.loop.eval_pairs:
        return None
    from rkd_jax.tasks.classification.data import source

    return source(config, "val")


def stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment; its own is the last one.

    Before it, where the config asks for them: the frozen teacher, the same network
    without it, runs with fewer terms, and all of these with other seeds.
    """
    found = distillation_stages(config)
    task = ClassificationConfig.of(config)
    first, own = found[:-1], found[-1]
    rows = dict(_with_fewer_terms(config)) if task.compare_terms else {}
    runs = []
    for shift in range(task.seeds):
        for title, changed in {**rows, own.title: own.config}.items():
            again = copy.deepcopy(changed)
            again.seed += shift
            name = f"{title}_{again.seed}" if task.seeds > 1 else title
            runs.append(Stage(name, again, name, takes=own.takes))
    last = runs.pop(len(rows))  # all terms with the experiment's own seed
    return [*first, *runs, Stage(last.title, config, takes=own.takes)]


def _with_fewer_terms(config: Config) -> list[tuple[str, Config]]:
    """Return the configs of cross-entropy alone, and with one and two terms more."""
    found = []
    for count, title in enumerate(("ce", "mt", "ccd")):
        fewer = copy.deepcopy(config)
        ClassificationConfig.of(fewer).keep_terms(count)
        found.append((title, fewer))
    return found


def preprocess(config: Config) -> dict[str, Any]:
    """Return how images are prepared and what the outputs are, for a weights file."""
    from rkd_jax.tasks.classification.data import parts

    data = ClassificationData.of(config)
    train = parts(data)["train"]
    return {
        "classes": list(train.classes),
        "ordered": train.ordered,
        "size": data.size,
        "crop_field": data.crop_field,
        "mean": list(data.mean),
        "std": list(data.std),
    }


def measure(
    config: Config,
    task: "Task",
    variables: Any,
    source: "Source",
    held_out: "Source | None",
) -> dict[str, Any]:
    """Return what is known of a trained network, for its weights file.

    The temperature is fitted on the validation images, whose distances to the training
    images are the reference; without them nothing is known. See
    `rkd_jax.classification`.
    """
    import numpy as np

    from rkd_jax.classification.embedding import fit_embedding
    from rkd_jax.metrics.calibration import fit_temperature
    from rkd_jax.tasks.classification.task import ClassificationTask

    if not isinstance(task, ClassificationTask):
        raise TypeError(f"task is a {type(task).__name__}; expected ClassificationTask")
    if held_out is None:
        return {}
    network = task.network(variables)
    _, features = task.outputs(network, source)
    logits, reference = task.outputs(network, held_out)
    embedding = fit_embedding(
        features,
        np.asarray(source.groups),
        config.model.out_channels,
        reference=reference,
    )
    return {
        "temperature": fit_temperature(logits, np.asarray(held_out.groups)),
        "embedding": embedding.to_dict(),
    }


def must_agree(config: Config, role: str) -> set[str]:
    """Return the facts by which the outputs of two networks mean the same.

    A run may start from a network for other classes, as one for photographs of things.
    """
    facts = {"mean", "std"}
    return facts if role == "start" else {"classes", "size", "crop_field", *facts}

"""Small lesions in two stages: maps of two networks, then a classifier of patches.

The functions are those of `rkd_jax.tasks.base.TaskModule`. An experiment trains three
networks one by one (`stages`); a run's `config.task.part` says which one it is.
"""

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax.config import Config, Stage
from rkd_jax.tasks import networks
from rkd_jax.tasks.lesions.config import (
    PARTS,
    LesionsConfig,
    LesionsData,
    LesionsModel,
    PatchesModel,
    ProposalModel,
)

if TYPE_CHECKING:
    from rkd_jax.data.sampling import Sampler
    from rkd_jax.data.source import Source
    from rkd_jax.tasks.base import Task
    from rkd_jax.weights import Weights

__all__ = [
    "CONFIG",
    "LesionsConfig",
    "LesionsData",
    "LesionsModel",
    "PatchesModel",
    "ProposalModel",
]
CONFIG = LesionsConfig


def make(
    config: Config,
    source: "Source",
    given: "Mapping[str, Weights]",
    axis_name: str | None = None,
) -> "Task":
    """Return the task of one run; see `TaskModule.make`."""
    task = LesionsConfig.of(config)
    if task.part != "all":
        from rkd_jax.tasks.lesions.proposals import ProposalTask

        teacher = given.get("teacher")
        return ProposalTask(
            model=networks.build(config.model).clone(axis_name=axis_name),
            options=task.proposals,
            teacher_model=None
            if teacher is None
            else networks.rebuild(teacher, task.proposals.teacher.model),
            axis_name=axis_name,
        )
    from rkd_jax.tasks.lesions.classifier import ClassifierTask

    for part in PARTS:
        made_for = given[part].preprocess.get("part")
        if made_for != part:
            raise ValueError(
                f"config.task.proposals.{part}: weights of the part {made_for!r}; "
                f"expected those of a run with config.task.part={part}"
            )
    return ClassifierTask(
        model=networks.build(LesionsConfig.model(config).patches).clone(
            axis_name=axis_name
        ),
        options=task,
        proposals={part: given[part].variables for part in PARTS},
        axis_name=axis_name,
    )


def training_source(config: Config) -> "Source":
    """Return the patches that a run trains on."""
    from rkd_jax.tasks.lesions import patches

    return patches.training_patches(config)


def held_out(config: Config) -> "Source | None":
    """Return what a run is evaluated on, if anything: photographs, or patches."""
    from rkd_jax.tasks.lesions import patches

    return patches.held_out(config)


def sampler(config: Config, source: "Source") -> "Sampler":
    """Return the order of patches: in given shares with and without lesion.

    The classifier's are triplets: two with a lesion around one without.
    """
    from rkd_jax.data.sampling import Mix
    from rkd_jax.data.weighted import Weighted

    task = LesionsConfig.of(config)
    if task.part != "all":
        share = task.proposals.lesion_share
        return Mix(source.groups, {1: share, 0: 1 - share}, seed=config.seed)
    return Weighted(
        source.groups,
        round_size=task.round_batches * config.data.batch_size,
        seed=config.seed,
        shares={1: 2 / 3, 0: 1 / 3},
        by_loss=(0,) if task.selective else (),
    )


def choose(
    config: Config, source: "Source", given: "Mapping[str, Weights]"
) -> "Source":
    """Return the examples of a run, once its weights are known.

    Some of the classifier's lie where the proposal networks find something.
    """
    task = LesionsConfig.of(config)
    if task.part != "all" or not task.hard_share:
        return source
    from rkd_jax.tasks.lesions.hard_patches import with_hard_patches
    from rkd_jax.tasks.lesions.patches import Patches

    if not isinstance(source, Patches):
        raise TypeError(f"source is a {type(source).__name__}; expected Patches")
    return with_hard_patches(config, source, given)


def stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment: teachers, proposal networks, classifiers."""
    task = LesionsConfig.of(config)
    if task.part != "all":
        if isinstance(config.model, LesionsModel):
            start = config.init_weights
            config = _of_part(config, task.part)
            config.init_weights = start
        return _proposal_stages(config, "")
    runs: list[Stage] = []
    for part in PARTS:
        if not getattr(task.proposals, part):
            runs += _proposal_stages(_of_part(config, part), part)
    if task.compare_cls:
        without = copy.deepcopy(config)
        cls = LesionsConfig.of(without)
        cls.triplet_weight, cls.compare_cls = 0.0, False
        runs.append(Stage("cls", without, "cls", takes=("start", *PARTS)))
    return [*runs, Stage("classifier", config, takes=("start", *PARTS))]


def _of_part(config: Config, part: str) -> Config:
    """Return the config of the run of one proposal network."""
    own = copy.deepcopy(config)
    task = LesionsConfig.of(own)
    own.model = copy.deepcopy(LesionsConfig.model(config).proposal)
    own.init_weights = ""
    task.part, proposals = part, task.proposals
    own.loop.steps = proposals.steps
    own.optim.lr = proposals.lr if part == "full" else proposals.half_lr
    own.data.batch_size = proposals.batch_size
    return own


def _proposal_stages(config: Config, folder: str) -> list[Stage]:
    task = LesionsConfig.of(config)
    part, proposals, runs = task.part, task.proposals, []
    if proposals.distill and not getattr(proposals.teacher, part):
        first = copy.deepcopy(config)
        alone = LesionsConfig.of(first).proposals
        alone.distill, first.init_weights = False, ""
        first.model = copy.deepcopy(proposals.teacher.model)
        first.loop.steps, first.optim.lr = proposals.teacher.steps, proposals.teacher.lr
        title = f"teacher_{part}"
        runs.append(Stage(title, first, title, takes=(), gives="teacher"))
    takes = ("start", "teacher") if proposals.distill else ("start",)
    return [*runs, Stage(part, config, folder, takes=takes, gives=part)]


def preprocess(config: Config) -> dict[str, Any]:
    """Return how photographs are prepared and maps are joined, for a weights file."""
    task, data = LesionsConfig.of(config), LesionsData.of(config)
    scale = {"field_px": data.size, "sigma_px": data.sigma_px, "gain": data.gain}
    shared = {"lesion": data.lesion, "scale": scale}
    if task.part != "all":
        return {**shared, "part": task.part}
    return {
        **shared,
        "patch_px": task.patch_px,
        "region_threshold": task.region_threshold,
        "stride": task.stride,
        "fusion": task.fusion,
        "classifier_weight": task.classifier_weight,
        "threshold": task.threshold,
        "rim": task.rim,
    }


def must_agree(config: Config, role: str) -> set[str]:
    """Return the facts by which two networks see the same lesions at the same scale."""
    shared = {"lesion", "scale"}
    if LesionsConfig.of(config).part != "all":
        return shared | {"part"}
    return shared | {"patch_px"} if role == "start" else shared

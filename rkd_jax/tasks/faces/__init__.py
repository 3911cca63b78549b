"""From a picture and the box of a face to its 98 points, and how good they are.

The functions are those of `rkd_jax.tasks.base.TaskModule`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax.config import Config, Stage
from rkd_jax.tasks import networks
from rkd_jax.tasks.distillation import distillation_stages
from rkd_jax.tasks.faces.config import FacesConfig, FacesDataConfig

if TYPE_CHECKING:
    from rkd_jax.data.source import Source
    from rkd_jax.tasks.faces.crops import FaceRecords
    from rkd_jax.tasks.faces.task import LandmarksTask
    from rkd_jax.weights import Weights

__all__ = ["CONFIG", "FacesConfig", "FacesDataConfig"]
CONFIG = FacesConfig


def make(
    config: Config,
    source: "Source",
    given: "Mapping[str, Weights]",
    axis_name: str | None = None,
) -> "LandmarksTask":
    """Return the task of one run; see `TaskModule.make`."""
    from rkd_jax.tasks.faces.task import LandmarksTask

    options, teacher = FacesConfig.of(config), given.get("teacher")
    return LandmarksTask(
        model=networks.build(config.model),
        options=options,
        crop=config.data.crop,
        teacher_model=networks.rebuild(teacher, options.teacher.model)
        if options.distill and teacher is not None
        else None,
        axis_name=axis_name,
    )


def training_source(config: Config) -> "FaceRecords":
    """Return the faces that a run trains on."""
    from rkd_jax.tasks.faces.data import training_faces

    return training_faces(config)


def held_out(config: Config) -> "Source | None":
    """Return the faces that a run is evaluated on, if any."""
    if not config.loop.eval_pairs:
        return None
    from rkd_jax.tasks.faces.data import held_out_faces

    return held_out_faces(config)


def stages(config: Config) -> list[Stage]:
    """Return the runs of an experiment; its own is the last one.

    Before it, where the config asks for them: the teacher, and the same network without
    teacher, for comparison.
    """
    return distillation_stages(config)


def preprocess(config: Config) -> dict[str, Any]:
    """Return how crops are made and heatmaps read, for a weights file."""
    task, data = FacesConfig.of(config), FacesDataConfig.of(config)
    return {
        "channel": "luma",
        "size": data.crop or data.size,
        "box_scale": data.box_scale,
        "temperature": task.temperature,
        "sigma_px": task.sigma_px,
    }


def must_agree(config: Config, role: str) -> set[str]:
    """Return the facts by which heatmaps of two networks mean the same points.

    A teacher's heatmaps are compared pixel by pixel, so that their size and spread
    must agree as well.
    """
    shared = {"channel", "box_scale", "temperature"}
    return shared | {"size", "sigma_px"} if role == "teacher" else shared

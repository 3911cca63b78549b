"""Self-supervised pre-training of the Swin encoder.

The functions are those of `rkd_jax.tasks.base.TaskModule`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rkd_jax.config import Config, Stage
from rkd_jax.tasks import networks
from rkd_jax.tasks.photographs import PhotographsConfig, training_photographs
from rkd_jax.tasks.pretraining.config import PretrainingConfig

if TYPE_CHECKING:
    from rkd_jax.data.records import Records
    from rkd_jax.data.source import Source
    from rkd_jax.tasks.pretraining.task import PretrainingTask
    from rkd_jax.weights import Weights

__all__ = ["CONFIG", "PhotographsConfig", "PretrainingConfig"]
CONFIG = PretrainingConfig


def make(
    config: Config,
    source: "Source",
    given: "Mapping[str, Weights]",
    axis_name: str | None = None,
) -> "PretrainingTask":
    """Return the task of one run; see `TaskModule.make`."""
    from rkd_jax.tasks.pretraining.task import PretrainingTask

    return PretrainingTask(
        model=networks.build(config.model),
        options=PretrainingConfig.of(config),
        crop=config.data.crop,
        axis_name=axis_name,
    )


def training_source(config: Config) -> "Records":
    """Return the photographs that a run trains on."""
    return training_photographs(PhotographsConfig.of(config), seed=config.seed)


def held_out(config: Config) -> "Source | None":
    """Return the images that a run is evaluated on, if any."""
    if not config.loop.eval_pairs:
        return None
    from rkd_jax.tasks.pretraining.task import held_out_images

    return held_out_images(config)


def stages(config: Config) -> list[Stage]:
    """Return the one run."""
    return [Stage("network", config)]


def preprocess(config: Config) -> dict[str, Any]:
    """Return how photographs are prepared, for a weights file."""
    return {
        "channel": "green",
        "size": config.data.size,
        # A network has descriptor maps, too, which pre-training does not touch.
        "descriptor_grid": "aligned",
    }


def must_agree(config: Config, role: str) -> set[str]:
    """Return nothing: the encoder of any photographs may be trained further."""
    return set()

"""Options of the pre-training task."""

import dataclasses
from typing import ClassVar

from rkd_jax.config import Config, DataConfig, TaskConfig, count, number
from rkd_jax.tasks import networks
from rkd_jax.tasks.photographs import PhotographsConfig


@dataclasses.dataclass
class PretrainingConfig(TaskConfig):
    """Masked regions and rotation."""

    DATA: ClassVar[type[DataConfig]] = PhotographsConfig
    name: str = "pretraining"
    # Share of the image that is hidden.
    mask_ratio: float = number(0.4, above=0, below=1)
    # Side of a hidden square, pixels.
    mask_size: int = count(16, least=1, largest=1024)

    def check(self, config: Config) -> None:
        """Check what must be together; see `TaskConfig.check`."""
        networks.check(config.model, "model", out_channels=1, task=self.name)
        networks.check_pretrained(config.model)

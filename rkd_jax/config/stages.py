"""One training run of an experiment; a task lists its runs (`TaskModule.stages`)."""

import dataclasses

from rkd_jax.config.schema import Config


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run.

    Attributes:
        title: its name in progress lines and results.
        config: of this run alone; its task may be another than the experiment's.
        folder: the name of its work directory below the experiment's; empty: that one.
        takes: roles of weights that it uses, if there are any: those that the config
            names (`TaskConfig.weights_files`) and those that earlier runs give.
        gives: the role of its weights for the runs after it; empty: none.
    """

    title: str
    config: Config
    folder: str = ""
    takes: tuple[str, ...] = ("start",)
    gives: str = ""

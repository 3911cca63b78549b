"""What is learned: a package a task, found by name in one table.

A task of your own needs one line before `rkd_jax.train`'s code runs, for example in the
config file: `TASKS["mine"] = "my.module"`. The module exports what
`rkd_jax.tasks.base.TaskModule` lists.
"""

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from rkd_jax.tasks.base import TaskModule

TASKS = {
    "retina": "rkd_jax.tasks.retina",
    "landmarks": "rkd_jax.tasks.faces",
    "pretraining": "rkd_jax.tasks.pretraining",
    "lesions": "rkd_jax.tasks.lesions",
    "classification": "rkd_jax.tasks.classification",
}


def load(name: str) -> "TaskModule":
    """Import the module of a task.

    Args:
        name: a key of `TASKS`, the `name` of a task's config class.

    Raises:
        ValueError: no such task; the message lists them. Or its module is not found.

    >>> load("landmarks").CONFIG.__name__
    'FacesConfig'
    """
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; known: {', '.join(TASKS)}")
    try:
        return cast("TaskModule", importlib.import_module(TASKS[name]))
    except ModuleNotFoundError as error:
        if not f"{TASKS[name]}.".startswith(f"{error.name}."):
            raise  # what the module itself imports
        raise ValueError(
            f"task {name!r}: no module {TASKS[name]!r} (rkd_jax.tasks.TASKS) that "
            "Python can import from here"
        ) from None

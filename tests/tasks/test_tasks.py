"""The table of tasks: what each module exports, and a task of somebody else."""

import collections
import importlib
import inspect
import pkgutil
import sys
import types

import pytest

from rkd_jax import tasks
from rkd_jax.config import Config, ModelConfig, TaskConfig
from rkd_jax.tasks.base import TaskModule
from rkd_jax.tasks.lesions import LesionsModel

FUNCTIONS = [
    name for name, value in vars(TaskModule).items() if isinstance(value, staticmethod)
]


# Other tests add tasks of their own.
PACKAGED = [n for n, module in tasks.TASKS.items() if module.startswith("rkd_jax.")]
MODELS = collections.defaultdict(lambda: ModelConfig, lesions=LesionsModel)
FOLDERS = {"lesions": ["full", "half"]}


@pytest.mark.parametrize("name", PACKAGED)
def test_a_module_exports_what_training_asks_for(name):
    module = tasks.load(name)
    for part in pkgutil.iter_modules(module.__path__):
        # A submodule of the name of a function takes the function's place.
        importlib.import_module(f"{module.__name__}.{part.name}")
    for function in FUNCTIONS:
        asked = inspect.signature(getattr(TaskModule, function)).parameters
        assert list(inspect.signature(getattr(module, function)).parameters) == list(
            asked
        )
    assert issubclass(module.CONFIG, TaskConfig)
    assert module.CONFIG().name == name
    own = module.stages(Config(task=module.CONFIG(), model=MODELS[name]()))
    # The last run has the experiment's folder, those before it have folders of theirs.
    assert [stage.folder for stage in own] == [*FOLDERS.get(name, []), ""]


def test_a_task_of_somebody_else_is_one_line(monkeypatch):
    mine = types.ModuleType("my_task")
    monkeypatch.setitem(sys.modules, "my_task", mine)
    with pytest.raises(ValueError, match="unknown task 'mine'; known: retina, land"):
        tasks.load("mine")
    monkeypatch.setitem(tasks.TASKS, "mine", "my_task")
    assert tasks.load("mine") is mine
    monkeypatch.setitem(tasks.TASKS, "mine", "no_such.task")
    with pytest.raises(ValueError, match=r"'mine': no module 'no_such.task'"):
        tasks.load("mine")

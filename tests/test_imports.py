"""The package is light to import, and imports point one way (design.md)."""

import ast
import pathlib
import subprocess
import sys

import pytest

import rkd_jax

ROOT = pathlib.Path(rkd_jax.__file__).parent

# What each room may import of ours, besides itself. Lower rooms first.
ALLOWED = {
    "allocation": set(),
    "command": set(),
    "foreign_weights": set(),
    "shipped": set(),
    "version": set(),
    "compiled": set(),
    "config": set(),
    "files": set(),
    "own_files": {"files"},
    "tables": set(),
    "losses": set(),
    "geometry": set(),
    "metrics": set(),
    "models": set(),
    "keypoints": {"geometry"},
    "augment": {"geometry"},
    "expansion": {"geometry", "keypoints"},
    "weights": {"files", "foreign_weights", "models"},
    "data": {"files", "geometry", "tables"},
    "alignment": {
        "command",
        "data",
        "files",
        "losses",
        "metrics",
        "models",
        "own_files",
        "weights",
    },
    "matching": {
        "command",
        "data",
        "files",
        "geometry",
        "keypoints",
        "metrics",
        "models",
        "own_files",
        "tables",
        "weights",
    },
    "training": {"config", "data", "files", "metrics", "models", "tasks", "weights"},
    "tasks": {
        "alignment",
        "augment",
        "config",
        "data",
        "expansion",
        "geometry",
        "keypoints",
        "losses",
        "matching",
        "metrics",
        "models",
        "weights",
    },
}
DOORS = {"__main__", "evaluate", "register", "train"}


def _room(module):
    """Return the room of a dotted module name, or None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def _imports(path):
    """Yield the modules of ours that a file imports, wherever in the file."""
    package = ["rkd_jax", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "rkd_jax")


def _files():
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts != ("__init__",):
            yield parts[0], path


def test_every_module_has_a_room():
    rooms = {room for room, _ in _files()}
    assert rooms <= ALLOWED.keys() | DOORS, "new rooms need a line in this test"


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_imports_point_one_way(room):
    wrong = []
    for owner, path in _files():
        if owner != room:
            continue
        for module in _imports(path):
            target = _room(module)
            if target not in {room, None, *ALLOWED[room]}:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert not wrong


def test_training_names_no_task():
    names = {"retina", "landmarks", "pretraining"}
    for owner, path in _files():
        if owner == "training":
            modules = [m for m in _imports(path) if _room(m) == "tasks"]
            assert set(modules) <= {"rkd_jax.tasks"}, path.name
            nodes = ast.walk(ast.parse(path.read_text()))
            texts = {n.value for n in nodes if isinstance(n, ast.Constant)}
            assert not names & texts, f"{path.name} names a task"


def _loaded_after(statement):
    code = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()}


HEAVY = {
    "PIL",
    "cv2",
    "flax",
    "grain",
    "jax",
    "matplotlib",
    "optax",
    "orbax",
    "scipy",
    "tensorflow",
    "tensorflow_datasets",
    "torch",
}


def test_importing_the_package_loads_nothing_heavy():
    assert not HEAVY & _loaded_after("import rkd_jax")


@pytest.mark.parametrize("door", sorted(DOORS))
def test_help_of_the_doors_is_light(door):
    assert not HEAVY & _loaded_after(f"import rkd_jax.{door}")


def test_losses_stand_alone():
    loaded = _loaded_after("from rkd_jax import losses")
    assert not loaded & {"flax", "cv2", "orbax", "tensorflow_datasets", "torch"}


def test_public_names_are_what_they_say():
    for name in rkd_jax.__all__:
        assert getattr(rkd_jax, name) is not None
    assert rkd_jax.Keypoints.__name__ == "Keypoints"
    assert callable(rkd_jax.register)
    assert callable(rkd_jax.load_matcher)
    with pytest.raises(AttributeError, match="nothing"):
        _ = rkd_jax.nothing

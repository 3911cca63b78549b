"""The package is light to import, and imports point one way (design.md)."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

import rkd_jax

ROOT = pathlib.Path(rkd_jax.__file__).parent

# Packages and modules at the top of rkd_jax, lowest first. A module imports from its
# own package and from lower lines.
LAYERS = (
    {"version"},
    {"files", "config", "geometry", "losses", "metrics"},
    {"runtime"},
    {"keypoints", "images", "augment", "models"},
    {"synthetic", "weights", "junctions"},
    {"data"},
    {"registration", "lesions", "classification"},
    {"tasks"},
    {"training"},
    {"evaluation"},
    {"train", "evaluate", "register", "apply", "classify"},
    {"__main__"},
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
ENTRY_POINTS = sorted({"__main__", *LAYERS[-2]})


def _module(path):
    """Return the dotted name of a file of ours."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_module(path): path for path in sorted(ROOT.rglob("*.py"))}


def _imports(path):
    """Yield the modules of ours that a file imports, wherever in the file."""
    package = ["rkd_jax", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names = [(base, alias.name) for alias in node.names]
        else:
            continue
        for base, name in names:
            full = f"{base}.{name}"
            if base.split(".")[0] == "rkd_jax":
                yield full if full in MODULES else base


def _top(module):
    """Return the package or module at the top of rkd_jax, "" for rkd_jax itself."""
    return (module.split(".") + [""])[1]


GRAPH = {module: sorted(set(_imports(path))) for module, path in MODULES.items()}
# What `rkd_jax` offers is imported when it is first used; type checkers see it.
EDGES = {m: [n for n in found if m != "rkd_jax"] for m, found in GRAPH.items()}


def test_every_module_has_a_layer():
    assert {_top(module) for module in MODULES} - {""} == LEVELS.keys()


@pytest.mark.parametrize("top", sorted(LEVELS))
def test_imports_point_down(top):
    wrong = [
        f"{module} imports {target}"
        for module, targets in EDGES.items()
        for target in targets
        if _top(module) == top
        and _top(target) != top
        and not LEVELS.get(_top(target), len(LAYERS)) < LEVELS[top]
    ]
    assert not wrong


def test_no_circle_of_modules():
    # TopologicalSorter names the modules of a circle in its error.
    graphlib.TopologicalSorter(
        {m: [n for n in targets if n != m] for m, targets in EDGES.items()}
    ).prepare()


def test_no_task_imports_another():
    wrong = [
        f"{module} imports {target}"
        for module, targets in EDGES.items()
        for target in targets
        if module.startswith("rkd_jax.tasks.")
        and target.startswith("rkd_jax.tasks.")
        and target.count(".") > 2
        and target.split(".")[2] != module.split(".")[2]
    ]
    assert not wrong


def test_training_names_no_task():
    tasks = {path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py")}
    for module, path in MODULES.items():
        if _top(module) == "training":
            found = [n for n in EDGES[module] if n.startswith("rkd_jax.tasks.")]
            assert not tasks & {n.split(".")[2] for n in found}, path.name
            nodes = ast.walk(ast.parse(path.read_text()))
            texts = {n.value for n in nodes if isinstance(n, ast.Constant)}
            assert not tasks & texts, f"{path.name} names a task"


def _loaded_after(statement):
    code = f"import sys\n{statement}\nprint(*sorted(sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stdout.split()}


HEAVY = {
    "PIL",
    "cv2",
    "dask",
    "distributed",
    "flax",
    "grain",
    "jax",
    "matplotlib",
    "optax",
    "orbax",
    "scipy",
    "sklearn",
    "tensorflow",
    "tensorflow_datasets",
    "torch",
}


def test_importing_the_package_loads_nothing_heavy():
    assert not HEAVY & _loaded_after("import rkd_jax")


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_help_of_an_entry_point_is_light(name):
    assert not HEAVY & _loaded_after(f"import rkd_jax.{name}")


def test_losses_stand_alone():
    loaded = _loaded_after("from rkd_jax import losses")
    assert not loaded & {"flax", "cv2", "orbax", "tensorflow_datasets", "torch"}


def test_public_names_are_what_they_say():
    for name in rkd_jax.__all__:
        assert getattr(rkd_jax, name) is not None
    assert rkd_jax.Keypoints.__name__ == "Keypoints"
    assert callable(rkd_jax.register_pair)
    assert callable(rkd_jax.load_matcher)
    with pytest.raises(AttributeError, match="nothing"):
        _ = rkd_jax.nothing

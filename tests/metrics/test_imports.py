import ast
import pathlib
import sys

import rkd_jax.metrics

FOLDER = pathlib.Path(rkd_jax.metrics.__file__).parent
# Within functions alone: scores of registrations need none of them.
IN_FUNCTIONS = {"scipy", "sklearn"}


def _names(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) else []


def test_metrics_import_numpy_alone():
    for file in sorted(FOLDER.rglob("*.py")):
        tree = ast.parse(file.read_text())
        for node in ast.walk(tree):
            for name in _names(node):
                ours = name.startswith("rkd_jax.metrics")
                top = name.split(".")[0]
                known = {"numpy"} | (set() if node in tree.body else IN_FUNCTIONS)
                assert ours or top in known or top in sys.stdlib_module_names, (
                    f"{file.name} imports {name}"
                )

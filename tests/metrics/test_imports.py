import ast
import pathlib
import sys

import rkd_jax.metrics

FOLDER = pathlib.Path(rkd_jax.metrics.__file__).parent


def test_metrics_import_numpy_alone():
    for file in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            for name in names:
                ours = name.startswith("rkd_jax.metrics")
                top = name.split(".")[0]
                assert ours or top == "numpy" or top in sys.stdlib_module_names, (
                    f"{file.name} imports {name}"
                )

import ast
import pathlib
import subprocess
import sys

import rkd_jax.losses

ALLOWED = {"jax", "numpy", "optax", "rkd_jax"} | sys.stdlib_module_names
FOLDER = pathlib.Path(rkd_jax.losses.__file__).parent


def test_sources_import_only_jax_numpy_and_each_other():
    files = sorted(FOLDER.glob("*.py"))
    assert len(files) >= 6
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module]
            else:
                continue
            for name in names:
                assert name.split(".")[0] in ALLOWED, f"{file.name} imports {name}"
                if name.startswith("rkd_jax"):
                    assert name.startswith("rkd_jax.losses"), f"{file.name}: {name}"


def test_losses_work_where_flax_cannot_be_imported():
    code = (
        "import sys\n"
        "for name in ('flax', 'cv2', 'orbax', 'tensorflow_datasets', 'grain'):\n"
        "    sys.modules[name] = None\n"
        "import jax.numpy as jnp\n"
        "from rkd_jax import losses\n"
        "ones = jnp.ones((1, 2, 2))\n"
        "assert float(losses.dice_loss(ones, ones)) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=FOLDER.parents[1],
    )
    assert done.returncode == 0, done.stderr

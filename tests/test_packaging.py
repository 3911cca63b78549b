"""A wheel made of an sdist has all that a clone has to register and to train.

`.ci/run` installs such a wheel and uses it.
"""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

setuptools = pytest.importorskip("setuptools", minversion="70.1")
ROOT = pathlib.Path(__file__).parents[1]

BUILD = """
import os, shutil, sys
from setuptools import build_meta
out = sys.argv[1]
shutil.unpack_archive(os.path.join(out, build_meta.build_sdist(out)), out + "/source")
os.chdir(os.path.join(out, "source", os.listdir(out + "/source")[0]))
print(build_meta.build_wheel(out))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder of an unpacked wheel, made of an sdist of this clone."""
    folder = tmp_path_factory.mktemp("packaging")
    away = shutil.ignore_patterns(
        ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "shared"
    )
    shutil.copytree(ROOT, folder / "clone", ignore=away)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, str(folder)],
        cwd=folder / "clone",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_has_every_module_config_and_file_of_the_package(installed):
    wanted = {p.relative_to(ROOT) for p in (ROOT / "rkd_jax").rglob("*.py")}
    for pattern in ("*.safetensors", "*.json", "*.md", "py.typed"):
        wanted |= {p.relative_to(ROOT) for p in (ROOT / "rkd_jax").rglob(pattern)}
    for path in (ROOT / "configs").glob("*.py"):
        wanted.add(pathlib.Path("rkd_jax/configs") / path.name)
    found = {
        p.relative_to(installed)
        for p in (installed / "rkd_jax").rglob("*")
        if p.is_file() and p.suffix != ".pyc"
    }
    assert found == wanted
    (entry,) = installed.glob("*.dist-info/entry_points.txt")
    assert "rkd-jax = rkd_jax.__main__:main" in entry.read_text(encoding="utf-8")

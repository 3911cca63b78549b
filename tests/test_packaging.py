"""A wheel made of an sdist has all that a clone has to register and to train."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

setuptools = pytest.importorskip("setuptools", minversion="70.1")
ROOT = pathlib.Path(__file__).parents[1]

BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""


def build(what, source, target):
    """Build an sdist or a wheel without a network; return its file."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BUILD, f"build_{what}", str(target)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return the folder of an unpacked wheel, made of an sdist of this clone."""
    folder = tmp_path_factory.mktemp("packaging")
    away = shutil.ignore_patterns(
        ".*", "__pycache__", "*.egg-info", "build", "dist", "runs", "shared"
    )
    shutil.copytree(ROOT, folder / "clone", ignore=away)
    sdist = build("sdist", folder / "clone", folder)
    shutil.unpack_archive(sdist, folder / "unpacked")
    (source,) = (folder / "unpacked").iterdir()
    wheel = build("wheel", source, folder)
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def call(installed, cwd, *arguments):
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env={**kept, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
    )


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


def test_tools_of_the_wheel_run(installed, tmp_path):
    for name in ("convert-weights", "label-junctions"):
        done = call(installed, tmp_path, "rkd_jax", name, "--help")
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_wheel_trains_anywhere(installed, tmp_path):
    options = (
        *("size=96", "crop=64", "batch_size=2", "synthetic_labeled=3"),
        "synthetic_unlabeled=2",
    )
    done = call(
        installed,
        tmp_path,
        *("rkd_jax", "train", "--config", "unet:crops"),
        *(f"--config.data.{option}" for option in options),
        *("--config.model.widths=(4,4,8,8)", "--config.model.descriptor_dim=8"),
        *("--config.loop.steps=2", "--config.loop.eval_pairs=0"),
    )
    assert done.returncode == 0, done.stderr
    written = tmp_path / "runs" / "unet" / "weights.safetensors"
    assert done.stdout == f"Weights: {written}\n"
    assert written.is_file()

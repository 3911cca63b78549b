"""Commands by name, the one version, experiments and tools from anywhere."""

import os
import pathlib
import subprocess
import sys
import types

import pytest

from rkd_jax import __main__ as commands
from rkd_jax import __version__, weights
from rkd_jax.runtime import shipped
from rkd_jax.weights import packaged

ROOT = pathlib.Path(__file__).parents[1]


def call(*arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "command", ["rkd_jax", "rkd_jax.register", "rkd_jax.evaluate", "rkd_jax.train"]
)
def test_every_module_shows_the_version(tmp_path, command):
    done = call(command, "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"rkd_jax {__version__}\n"), (
        done.stderr
    )


@pytest.mark.parametrize("command", commands.COMMANDS)
def test_every_command_shows_the_version(capsys, command):
    assert commands.main([command, "--version"]) == 0
    assert capsys.readouterr().out == f"rkd_jax {__version__}\n"


# What `--help` of a command must not wait for.
WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
from rkd_jax.__main__ import main
sys.exit(main([*sys.argv[1:], "--help"]))
"""


@pytest.mark.parametrize("command", [*sorted(commands.COMMANDS), "evaluate fire"])
def test_every_command_shows_its_arguments_without_jax(tmp_path, command):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_JAX, *command.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout
    assert "__main__" not in done.stdout
    if command in ("register", "evaluate fire"):
        names = ", ".join(packaged.names())
        assert f"({names})" in " ".join(done.stdout.split())


def test_the_list_of_commands_and_what_is_none(capsys):
    assert commands.main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n  {name} " in listed for name in commands.COMMANDS)
    for given, found in ((["regster"], "found 'regster'"), ([], "found none")):
        assert commands.main(given) == 2
        assert capsys.readouterr().err.endswith(f"expected a command, {found}\n")


def test_the_rest_goes_to_the_command_and_its_status_comes_back(monkeypatch):
    seen = []

    def main(argv):
        seen.append(argv)
        return 3

    module = types.SimpleNamespace(main=main)
    monkeypatch.setattr(commands.importlib, "import_module", lambda name: module)
    assert commands.main(["register", "a", "--out", "b"]) == 3
    assert seen == [["a", "--out", "b"]]


def test_the_version_is_the_same_everywhere():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation


def test_the_packaged_weights_are_listed():
    names = packaged.names()
    assert names[0] == weights.find().stem == packaged.DEFAULT
    assert {"unet_robust", "small", "unet", "large", "large_kernel"} <= set(names)
    assert all(weights.find(name).stem == name for name in names)


@pytest.mark.parametrize("text", ["unet", "unet:crops", "unet:crops,robust"])
def test_a_bare_name_is_an_experiment_of_the_package(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    path, _, variant = shipped.find_config(text).partition(":")
    assert pathlib.Path(path).samefile(ROOT / "configs" / "unet.py")
    assert variant == text.partition(":")[2]


def test_a_file_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("unet", "mine.py"):
        pathlib.Path(name).touch()
        assert shipped.find_config(f"{name}:a") == f"{name}:a"


def test_a_drive_is_not_the_start_of_the_variants(monkeypatch):
    import ntpath

    # Of this module alone: Python 3.12 makes paths by the same function.
    windows = types.SimpleNamespace(splitdrive=ntpath.splitdrive)
    monkeypatch.setattr(shipped, "os", types.SimpleNamespace(path=windows))
    monkeypatch.setattr(pathlib.Path, "is_file", lambda path: True)
    monkeypatch.setattr(shipped, "_relative", lambda path: f"relative to {path}")
    assert shipped.find_config("D:/x/a.py:b,c") == "relative to D:/x/a.py:b,c"
    assert shipped.find_config("x/a.py:b,c") == "x/a.py:b,c"


def test_folders_in_the_package_come_before_those_beside_it(tmp_path, monkeypatch):
    """As in a wheel, and as in a clone."""
    package = tmp_path / "rkd_jax"
    for path in (package, tmp_path / "configs"):
        path.mkdir()
    monkeypatch.setattr(shipped, "__file__", str(package / "runtime" / "shipped.py"))
    assert shipped.folder("configs") == tmp_path / "configs"
    (package / "configs").mkdir()
    assert shipped.folder("configs") == package / "configs"


def test_what_is_no_experiment_is_named_with_those_there_are(tmp_path):
    for text in ("nothing", "configs/unet.py", "unett:crops"):
        done = call("rkd_jax.train", f"--config={text}", cwd=tmp_path)
        assert done.returncode == 2
        assert f"no file {text.split(':')[0]}; with the package come " in done.stderr
        assert "rkd, small, swin_unetr, unet" in done.stderr
    done = call("rkd_jax.train", "--config", cwd=tmp_path)
    assert (done.returncode, "is missing" in done.stderr) == (2, True)

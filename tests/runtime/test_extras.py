"""A command without its packages names the extra that brings them."""

import importlib.metadata
import pathlib
import re
import runpy
import sys

import pytest

from rkd_jax import __main__ as commands
from rkd_jax import train
from rkd_jax.data.builders.__main__ import main as prepare
from rkd_jax.runtime import command, extras

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def declared():
    """The keyword arguments that setup.py gives to setuptools."""
    setuptools = pytest.importorskip("setuptools")
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **options: given.update(options))
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def _names(requirements):
    return {
        re.split(r"[<>=!~\[; ]", text)[0].lower().replace("_", "-")
        for text in requirements
    }


@pytest.mark.parametrize("extra", sorted(extras.EXTRAS))
def test_an_extra_brings_the_packages_of_its_modules(declared, extra):
    owners = importlib.metadata.packages_distributions()
    wanted = _names(declared["extras_require"][extra])
    found = set()
    for module in extras.EXTRAS[extra]:
        names = _names(owners[module.split(".")[0]]) & wanted
        assert names, f"{module} comes with no package of [{extra}]"
        found |= names
    assert found == wanted


def test_all_is_every_extra_of_a_command(declared):
    given = declared["extras_require"]
    wanted = {name for extra in extras.EXTRAS for name in given[extra]}
    assert set(given["all"]) == wanted
    assert not wanted & set(declared["install_requires"])


def test_the_pages_ask_for_extras_that_there_are(declared):
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    lines = re.findall(
        r"pip install\b.*?\[([\w,]+)\]", "\n".join(p.read_text("utf-8") for p in pages)
    )
    assert lines
    named = {extra for line in lines for extra in line.split(",")}
    assert named <= declared["extras_require"].keys()


def test_the_description_has_no_link_that_only_a_clone_can_follow(declared):
    targets = re.findall(r"\]\(([^)]*)\)", declared["long_description"])
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)


def _error(package, extra):
    return (
        f"error: the package {package} is not installed: "
        f"pip install 'rkd_jax[{extra}]'\n"
    )


@pytest.mark.parametrize("package", ["absl", "grain", "ml_collections", "orbax"])
@pytest.mark.parametrize("main", [train.main, lambda a: commands.main(["train", *a])])
def test_training_without_its_extra(monkeypatch, capsys, package, main):
    for name in list(sys.modules):
        if name.split(".")[0] == package:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as stop:
        main(["--config", "unet:demo"])
    assert stop.value.code == 2
    named = "orbax.checkpoint" if package == "orbax" else package
    assert capsys.readouterr() == ("", _error(named, "train"))


@pytest.mark.parametrize("main", [prepare, lambda a: commands.main(["prepare", *a])])
def test_data_sets_without_their_extra(monkeypatch, capsys, main):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert main(["fire", "raw", "data"]) == 2
    assert capsys.readouterr() == ("", _error("tensorflow_datasets", "data"))


def test_an_import_in_the_midst_of_a_command(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    def action():
        import matplotlib  # noqa: F401

        return 0

    assert command.run(action) == 2
    assert capsys.readouterr().err == _error("matplotlib", "evaluate")


def test_what_no_extra_brings_is_not_explained_away():
    assert extras.advise(ModuleNotFoundError("no", name="nothing")) is None
    assert extras.advise(ImportError("cannot import name 'x'")) is None

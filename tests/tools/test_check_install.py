"""The check of what can be installed where, without asking an index."""

import importlib.util
import pathlib
import re
import subprocess

import pytest

pytest.importorskip("setuptools", minversion="70.1")
TOOL = pathlib.Path(__file__).parents[2] / "tools" / "check_install.py"


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("check_install", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.fixture
def project(tmp_path):
    (tmp_path / "setup.py").write_text(
        "from setuptools import setup\n"
        "setup(name='small', version='1', py_modules=[], install_requires=["
        "'jax>=0.8', 'colorama>=0.4; sys_platform == \"win32\"'],"
        " extras_require={'all': ['optax>=0.2'], 'test': ['chex']})\n"
    )
    return tmp_path


def test_requirements_are_those_of_the_extra_all(tool, project):
    found = tool.read_requirements(project)
    marked = 'colorama>=0.4; sys_platform == "win32"'
    assert found == ["jax>=0.8", marked, "optax>=0.2"]


def test_ours_have_wheels_for_no_system_alone(tool):
    found = tool.read_requirements(tool.ROOT)
    names = {re.split(r"[^\w.-]", line)[0] for line in found}
    assert {"jax", "grain", "tensorflow-datasets"} <= names
    assert not {"array_record", "chex"} & names


@pytest.fixture
def answers(tool, monkeypatch, project):
    """Let uv answer; return what it was asked and what it refuses."""
    asked, refused = [], set()

    def run(command, **options):
        if "compile" not in command:
            return subprocess.CompletedProcess(command, 0, "uv 1", "")
        after = {name: command[command.index(name) + 1] for name in command[:-1]}
        case = after["--python-platform"], after["--python-version"]
        asked.append((*case, options["input"]))
        why = "error: no\n  wheels" if case in refused else ""
        return subprocess.CompletedProcess(command, bool(why), "", why)

    monkeypatch.setattr(tool, "read_requirements", lambda root: ["jax>=0.8", "numpy"])
    monkeypatch.setattr(tool, "build_source_only", lambda folder: None)
    monkeypatch.setattr(tool.subprocess, "run", run)
    return asked, refused


def test_every_system_and_python_is_asked_about(tool, answers, capsys):
    asked, _ = answers
    assert tool.main([]) == 0
    assert len(set(asked)) == 9
    assert {requirements for _, _, requirements in asked} == {"jax>=0.8\nnumpy"}
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.endswith("can be installed") for line in lines) == len(lines) == 9


def test_one_that_cannot_be_installed_fails_with_its_reason(tool, answers, capsys):
    _, refused = answers
    refused.add(("x86_64-pc-windows-msvc", "3.12"))
    assert tool.main([]) == 1
    wrong = [
        line
        for line in capsys.readouterr().out.splitlines()
        if not line.endswith("can be installed")
    ]
    assert [line.split() for line in wrong] == [
        ["Windows", "Python", "3.12", "error:", "no", "wheels"]
    ]


def test_a_wheel_for_one_system_alone_is_refused(tool, monkeypatch, tmp_path):
    monkeypatch.setattr(tool, "_run", lambda command: "")
    (tmp_path / "promise-2.3-py3-none-any.whl").touch()
    tool.build_source_only(tmp_path)
    (tmp_path / "promise-2.3-cp312-cp312-linux_x86_64.whl").touch()
    with pytest.raises(tool.CheckError, match=r"linux_x86_64\.whl: expected a wheel"):
        tool.build_source_only(tmp_path)


def test_without_uv_the_check_says_so(tool, monkeypatch, capsys):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "No module named uv")

    monkeypatch.setattr(tool.subprocess, "run", run)
    assert tool.main([]) == 2
    assert "No module named uv; this needs" in capsys.readouterr().err

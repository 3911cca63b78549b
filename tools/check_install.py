"""Check that the package can be installed on every system, without a compiler.

    pip install uv && python tools/check_install.py

asks a package index, on any machine, whether all that `rkd_jax[all]` needs has wheels
for Windows, macOS and Linux, under each Python. uv does it, because it evaluates
markers such as `sys_platform == "win32"` for the system that is asked about; pip
evaluates them for the one that it runs on, also with `--platform`. Exit code 0: all can
be installed; 1: one cannot, and the reason is printed; 2: the check itself failed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

ROOT = pathlib.Path(__file__).resolve().parents[1]
SYSTEMS = {
    "Windows": "x86_64-pc-windows-msvc",
    "macOS (Apple silicon)": "aarch64-apple-darwin",
    "Linux (glibc 2.28)": "x86_64-manylinux_2_28",
}
PYTHONS = ("3.11", "3.12", "3.13")
# Published as source only. Pip makes a wheel of it, which must be one for any system.
SOURCE_ONLY = ("promise",)

_ALL = '; extra == "all"'
_METADATA = """
import sys
from setuptools import build_meta
print(build_meta.prepare_metadata_for_build_wheel(sys.argv[1]))
"""


class CheckError(RuntimeError):
    """The check itself could not be done."""


def read_requirements(root: pathlib.Path) -> list[str]:
    """Return what the project in a folder needs with its extra `all`.

    Raises:
        CheckError: its metadata cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        lines = _run([sys.executable, "-c", _METADATA, folder], cwd=root).splitlines()
        found = importlib.metadata.Distribution.at(pathlib.Path(folder) / lines[-1])
        lines = [line.replace(_ALL, "") for line in found.requires or []]
        return [line for line in lines if "extra ==" not in line]


def build_source_only(folder: pathlib.Path) -> None:
    """Make the wheels of `SOURCE_ONLY`.

    Raises:
        CheckError: one cannot be made, or is for this system alone.
    """
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    _run([*wheel, "--wheel-dir", str(folder), *SOURCE_ONLY])
    for path in folder.glob("*.whl"):
        if not path.stem.endswith("-none-any"):
            raise CheckError(f"{path.name}: expected a wheel for any system")


def resolve(
    requirements: Sequence[str], wheels: pathlib.Path, system: str, python: str
) -> str:
    """Return why requirements cannot be installed from wheels; empty if they can.

    Args:
        requirements: lines as in a requirements file.
        wheels: folder of further wheels.
        system: as uv names it.
        python: version, such as "3.12".
    """
    command = [*_uv(), "pip", "compile", "--quiet", "--only-binary", ":all:"]
    command += ["--find-links", str(wheels), "--python-version", python]
    command += ["--python-platform", system, "-"]
    text = "\n".join(requirements)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    return "" if done.returncode == 0 else " ".join(done.stderr.split())


def _uv() -> list[str]:
    uv = shutil.which("uv")
    return [uv] if uv else [sys.executable, "-m", "uv"]


def _run(command: list[str], cwd: pathlib.Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise CheckError(f"{' '.join(command[:4])} ...: {last}")
    return done.stdout


def check(ask: Callable[[str, str], str]) -> list[tuple[str, str, str]]:
    """Return system, Python and reason (empty: it can be installed) of every case.

    Args:
        ask: called with the system, as uv names it, and the Python version.
    """
    cases = [(system, python) for system in SYSTEMS for python in PYTHONS]
    return [(system, python, ask(SYSTEMS[system], python)) for system, python in cases]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args(argv)
    try:
        _run([*_uv(), "--version"])
        requirements = read_requirements(ROOT)
        with tempfile.TemporaryDirectory() as folder:
            wheels = pathlib.Path(folder)
            build_source_only(wheels)
            found = check(lambda *case: resolve(requirements, wheels, *case))
    except CheckError as error:
        print(f"error: {error}; this needs pip, setuptools and uv", file=sys.stderr)
        return 2
    for system, python, why in found:
        print(f"{system:24}Python {python:8}{why or 'can be installed'}")
    return 1 if any(why for _, _, why in found) else 0


if __name__ == "__main__":
    sys.exit(main())

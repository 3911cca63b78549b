"""Compiled programs are found again by the next process; none is needed."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from rkd_jax.runtime import compile_cache

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import sys
import jax
from rkd_jax.runtime.compile_cache import keep_compiled
keep_compiled(sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(
    lambda name, **_: hits.append(name) if "cache_hit" in name else None
)
jax.jit(lambda x: x * 3 + 1)(2.0)
print(jax.config.jax_compilation_cache_dir, len(hits))
"""


def run(folder, **environment):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    name, hits = done.stdout.split()
    return name, int(hits)


def test_the_second_process_compiles_nothing(tmp_path):
    assert run(tmp_path / "cache") == (str(tmp_path / "cache"), 0)
    written = sorted(tmp_path.glob("cache/*"))
    assert written
    _, hits = run(tmp_path / "cache")
    assert hits > 0
    assert {p.name for p in written} <= {p.name for p in tmp_path.glob("cache/*")}


def test_opting_out_and_a_folder_of_jax_stand(tmp_path):
    assert run("")[0] == "None"
    own = str(tmp_path / "own")
    assert run(tmp_path / "ours", JAX_COMPILATION_CACHE_DIR=own)[0] == own
    assert not (tmp_path / "ours").exists()


def test_default_folder_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RKD_JAX_CACHE_DIR", "/some/where")
    assert compile_cache.default_folder() == "/some/where"
    monkeypatch.delenv("RKD_JAX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert compile_cache.default_folder() == "/caches/rkd_jax"


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"RKD_JAX_CACHE_DIR": "", "HOME": "/h", "XDG_CACHE_HOME": "/x"}, ""),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "/h/.cache/rkd_jax"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/rkd_jax"),
        ({"HOME": "relative"}, ""),
        ({"XDG_CACHE_HOME": "/x"}, "/x/rkd_jax"),
        ({}, ""),
    ],
)
def test_a_user_without_home_has_no_default_folder(monkeypatch, environment, folder):
    def nobody(number):
        raise KeyError(number)

    for name in ("RKD_JAX_CACHE_DIR", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert compile_cache.default_folder() == folder


# What a container does with `docker run --user 23456`: the id has no entry.
NOBODY = """
import pwd, runpy, sys
def nobody(number):
    raise KeyError(number)
pwd.getpwuid = nobody
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def as_nobody(*line, cwd, **environment):
    kept = {k: os.environ[k] for k in ("PATH", "JAX_PLATFORMS") if k in os.environ}
    return subprocess.run(
        [sys.executable, "-c", NOBODY, *map(str, line)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.parametrize("line", ["register", "evaluate fire", "train"])
def test_commands_tell_their_arguments_to_a_user_without_home(tmp_path, line):
    done = as_nobody(*f"rkd_jax.{line} --help".split(), cwd=tmp_path)
    assert "compilation_cache_dir" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("environment", "options"),
    [
        ({}, []),
        ({}, ["--compilation_cache_dir="]),
        ({"RKD_JAX_CACHE_DIR": ""}, []),
        ({"HOME": os.devnull}, []),
    ],
)
def test_a_user_without_home_registers(tmp_path, environment, options):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 255, (60, 60, 3), np.uint8)
    eye = np.asarray(
        Image.fromarray(small).resize((300, 300), Image.Resampling.BICUBIC)
    )
    Image.fromarray(eye[:280, :280]).save(tmp_path / "fixed.png")
    Image.fromarray(eye[9:289, 7:287]).save(tmp_path / "moving.png")
    done = as_nobody(
        *("rkd_jax.register", "fixed.png", "moving.png", "--out", "out"),
        *("--method", "sift", "--no-pictures", *options),
        cwd=tmp_path,
        **environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == ("HOME" in environment)


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_folder_that_cannot_be_made_is_not_used(tmp_path, kind):
    file = tmp_path / "file"
    file.write_text("not ours")
    assert run(file if kind == "file" else file / "folder") == ("None", 0)
    assert file.read_text() == "not ours"


def test_a_folder_that_cannot_be_written_is_read(tmp_path, monkeypatch, caplog):
    import jax

    asked = {}
    monkeypatch.setattr(jax.config, "update", asked.__setitem__)
    monkeypatch.setattr(
        compile_cache.os, "access", lambda path, mode: not mode & os.W_OK
    )
    compile_cache.keep_compiled(str(tmp_path))
    assert asked == {
        "jax_compilation_cache_dir": str(tmp_path),
        "jax_persistent_cache_min_compile_time_secs": float("inf"),
    }
    assert f"{tmp_path} cannot be written" in caplog.text

"""Compiled programs are found again by the next process."""

import os
import subprocess
import sys

from rkd_jax import compiled

PROGRAM = """
import sys
import jax
from rkd_jax.compiled import keep_compiled
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
    assert compiled.default_folder() == "/some/where"
    monkeypatch.delenv("RKD_JAX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert compiled.default_folder() == "/caches/rkd_jax"

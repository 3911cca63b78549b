"""Memory of compiled programs is cheap, and not held twice."""

import os
import subprocess
import sys

import pytest

from rkd_jax.runtime import memory
from rkd_jax.runtime.memory import at_start, before_start

GLIBC = pytest.mark.skipif(not memory._glibc(), reason="glibc's malloc")

PROGRAM = """
import resource, sys
import numpy as np
from rkd_jax.runtime.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(1 << 23)
before = faults()
for _ in range(5):
    np.ones(1 << 23)
print(faults() - before)
"""


@GLIBC
def test_pages_of_freed_arrays_are_not_asked_for_again():
    def faults(mode):
        command = [sys.executable, "-c", PROGRAM, mode]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env=_plain()
        )
        return int(done.stdout)

    assert faults("keep") < 100 < faults("default")


BLOCKS = """
import ctypes, sys
from rkd_jax.runtime.memory import keep_freed_memory
keep_freed_memory(give_back=bool(sys.argv[1]))
libc = ctypes.CDLL(None)
libc.aligned_alloc.restype = libc.malloc.restype = ctypes.c_void_p
libc.aligned_alloc.argtypes = [ctypes.c_size_t] * 2
libc.free.argtypes = [ctypes.c_void_p]
for number in range(6):
    block = libc.aligned_alloc(64, 1 << 28)
    ctypes.memset(block, 1, 1 << 28)
    small = [libc.malloc(100 + 50 * i + number) for i in range(20)]
    libc.free(block)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(int(line.split()[1]) / 2**18)
"""


@GLIBC
@pytest.mark.parametrize("give_back", [True, False])
@pytest.mark.parametrize("given", ["", "glibc.malloc.hugetlb=0"])
def test_aligned_blocks_do_not_grow_the_process_at_each_call(give_back, given):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS, "back" if give_back else ""],
        capture_output=True,
        text=True,
        check=True,
        env=at_start({**_plain(), "GLIBC_TUNABLES": given}),
    )
    # Six blocks one after the other, each freed before the next. Kept ones may be held
    # twice: scraps of one keep the next from taking its place.
    mapped = give_back and memory._has_huge_pages(at_start({"GLIBC_TUNABLES": given}))
    assert 1.0 <= float(done.stdout) < (1.5 if mapped else 2.5)


@pytest.mark.parametrize(
    ("tunables", "pages", "version", "expected"),
    [
        ("glibc.malloc.hugetlb=1", "always [madvise] never", (2, 36), True),
        ("a=1:glibc.malloc.hugetlb=1", "[always] madvise never", (2, 41), True),
        ("glibc.malloc.hugetlb=1", "always madvise [never]", (2, 36), False),
        ("glibc.malloc.hugetlb=1", None, (2, 36), False),
        ("glibc.malloc.hugetlb=1", "[always] madvise never", (2, 34), False),
        ("glibc.malloc.hugetlb=1", "[always] madvise never", (), False),
        ("glibc.malloc.hugetlb=0", "[always] madvise never", (2, 36), False),
        ("", "[always] madvise never", (2, 36), False),
    ],
)
def test_blocks_are_mapped_only_with_huge_pages(
    tunables, pages, version, expected, tmp_path, monkeypatch
):
    file = tmp_path / "enabled"
    if pages is not None:
        file.write_text(pages)
    monkeypatch.setattr(memory, "_HUGE_PAGES", file)
    monkeypatch.setattr(memory, "_glibc", lambda: version)
    assert memory._has_huge_pages({"GLIBC_TUNABLES": tunables}) is expected


AGAIN = """
import os, sys
from rkd_jax.runtime.memory import start_again
print("started", flush=True)
start_again()
print(os.environ.get("GLIBC_TUNABLES"), sys.argv[1:])
"""


@GLIBC
@pytest.mark.parametrize("given", ["", "glibc.malloc.check=0"])
def test_a_program_starts_again_once_with_its_arguments(given, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(AGAIN)
    command = [sys.executable, str(script), "--a", "b c"]
    environment = {**_plain(), "GLIBC_TUNABLES": given}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    )
    tunables = at_start({"GLIBC_TUNABLES": given})["GLIBC_TUNABLES"]
    expected = ["started", "started", f"{tunables} ['--a', 'b c']"]
    assert done.stdout.splitlines() == expected


def _plain():
    """Return the environment of a machine without accelerator, nothing asked for."""
    given = {k: v for k, v in os.environ.items() if k != memory._SWITCH}
    return {**before_start(given), "JAX_PLATFORMS": "cpu"}


def _started(command, **options):
    """Run a program on a machine without accelerator; return its lines."""
    environment = _plain() | options.pop("env", {})
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, **options
    )
    return done.stdout.splitlines()


@GLIBC
def test_a_module_and_a_command_start_again_with_their_arguments(tmp_path):
    (tmp_path / "program.py").write_text(AGAIN)
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    for how in (["-m", "program"], ["-c", AGAIN]):
        lines = _started([sys.executable, *how, "--a", "b c"], env=path)
        assert lines[:2] == ["started", "started"]
        assert lines[2].endswith(" ['--a', 'b c']")


@GLIBC
def test_a_program_that_cannot_be_replaced_goes_on(tmp_path):
    script = tmp_path / "program.py"
    script.write_text(AGAIN)
    # Its text has been read already.
    assert _started([sys.executable, "-"], input=AGAIN)[0] == "started"
    assert len(_started([sys.executable, "-"], input=AGAIN)) == 2
    off = {"RKD_JAX_START_AGAIN": "0", "GLIBC_TUNABLES": ""}
    assert len(_started([sys.executable, str(script)], env=off)) == 2
    gpu = {"JAX_PLATFORMS": "cuda", "GLIBC_TUNABLES": ""}
    assert len(_started([sys.executable, str(script)], env=gpu)) == 2
    profiled = [sys.executable, "-m", "cProfile", str(script)]
    assert _started(profiled, env={"GLIBC_TUNABLES": ""}).count("started") == 1


@GLIBC
def test_a_program_whose_tunables_are_taken_away_starts_again_only_once(tmp_path):
    script = tmp_path / "program.py"
    script.write_text('import os\nos.environ["GLIBC_TUNABLES"] = ""\n' + AGAIN)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=True,
        env=_plain(),
        timeout=60,
    )
    assert done.stdout.splitlines() == ["started", "started", " []"]


def test_the_given_environment_is_found_again():
    given = {"A": "1", "GLIBC_TUNABLES": "glibc.malloc.check=0"}
    started = {**at_start(given), memory._GIVEN: given["GLIBC_TUNABLES"]}
    assert before_start(started) == given == before_start(given)

"""Memory of compiled programs is cheap, and not held twice."""

import os
import subprocess
import sys

import pytest

from rkd_jax.allocation import at_start

PROGRAM = """
import resource, sys
import numpy as np
from rkd_jax.allocation import keep_freed_memory
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_pages_of_freed_arrays_are_not_asked_for_again():
    def faults(mode):
        command = [sys.executable, "-c", PROGRAM, mode]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 100 < faults("default")


BLOCKS = """
import ctypes, sys
from rkd_jax.allocation import keep_freed_memory
keep_freed_memory()
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_aligned_blocks_do_not_grow_the_process_at_each_call():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS],
        capture_output=True,
        text=True,
        check=True,
        env=at_start(os.environ),
    )
    # Six blocks one after the other, each freed before the next.
    assert 1.0 <= float(done.stdout) < 2.5


AGAIN = """
import os, sys
from rkd_jax.allocation import start_again
print("started", flush=True)
start_again()
print(os.environ["GLIBC_TUNABLES"], sys.argv[1:])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
@pytest.mark.parametrize("given", ["", "glibc.malloc.check=0"])
def test_a_program_starts_again_once_with_its_arguments(given, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(AGAIN)
    command = [sys.executable, str(script), "--a", "b c"]
    environment = {**os.environ, "GLIBC_TUNABLES": given}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    )
    tunables = ":".join(filter(None, [given, "glibc.malloc.hugetlb=1"]))
    expected = ["started", "started", f"{tunables} ['--a', 'b c']"]
    assert done.stdout.splitlines() == expected

"""Writing files: whole or not at all, and on the disk before they bear their name."""

import errno
import os
import subprocess
import sys

import pytest

from rkd_jax.files import atomic


def test_content_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), fsync(fd)))
    monkeypatch.setattr(
        os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))
    )
    atomic.write_bytes(tmp_path / "new" / "a.bin", b"one")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"one"
    assert calls == ["sync", "rename"]


def test_a_failed_block_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    atomic.write_text(path, "old")

    def write_half():
        with atomic.atomic_path(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_folders_and_files_in_the_way_are_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(IsADirectoryError, match="a folder; expected the name of a fil"):
        atomic.write_text(tmp_path, "x")
    for path in (tmp_path / "file/a.txt", tmp_path / "file/b/a.txt"):
        with pytest.raises(NotADirectoryError, match="cannot be made a folder"):
            atomic.write_text(path, "x")


def test_what_a_killed_process_left_does_not_stay(tmp_path):
    program = f"""
import os, signal
from rkd_jax.files.atomic import atomic_path
with atomic_path({str(tmp_path / "a.txt")!r}) as part:
    part.write_text("half" * 100)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode < 0
    assert len(list(tmp_path.iterdir())) == 1
    atomic.write_text(tmp_path / "a.txt", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "whole"


def test_two_writers_of_one_path_have_files_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    with atomic.atomic_path(path) as first:
        first.write_text("first")
        with atomic.atomic_path(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_without_locks_it_writes_too(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("rkd_jax.files.atomic.fcntl.flock", flock)
    atomic.write_text(tmp_path / "a.txt", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]

"""A full disk: its reason is shown once, and nothing of the run is lost."""

import contextlib
import os
import pathlib
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from toy import Batches, LineTask, lines

from rkd_jax.training import loop, report
from rkd_jax.training.checkpoint import Checkpoints, saved_steps
from rkd_jax.training.disk import report_once
from rkd_jax.training.optimizer import make_optimizer
from rkd_jax.training.tensorboard import EventFile

ROOT = pathlib.Path(__file__).parents[2]
TOO_LARGE = "File too large"

# A process of its own, because what Orbax's threads print while it ends counts too.
PROGRAM = """
import pathlib, resource, sys
sys.path[:0] = ["tests/helpers", "tests/training"]
import jax
jax.config.update("jax_num_cpu_devices", 4)
from test_disk import train_large
from rkd_jax import train
from rkd_jax.runtime import start

def limit():
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

start._show_progress()
folder = pathlib.Path(sys.argv[1])
sys.exit(train.exit_status(lambda: train_large(folder, at={3: limit})))
"""


class Large(LineTask):
    """Its checkpoints are larger than 100 kB; all else that a run writes is smaller."""

    def init(self, key, batch):
        variables, task_state = super().init(key, batch)
        for n in range(2):
            large = jax.random.normal(jax.random.fold_in(key, n), (60_000,))
            variables["params"][f"large{n}"] = large
        return variables, task_state


def train_large(folder, at=None):
    options = loop.LoopOptions(steps=6, log_every=1, checkpoint_every=2, seed=1)
    optimizer = make_optimizer(lr=0.1, steps=6)
    loop.train(Large(), optimizer, Batches(at), options, workdir=folder, title="toy")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of files there")
def test_a_checkpoint_that_cannot_be_written_is_told_once_and_last(tmp_path):
    pytest.importorskip("resource")
    kept = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "run")],
        cwd=ROOT,
        env={**kept, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    *before, last = done.stderr.splitlines()
    assert last.startswith("error: the checkpoint of step 4 cannot be written in ")
    assert last.endswith(f": {TOO_LARGE}; the same command then goes on from step 2")
    assert all(" toy: " in line for line in before), done.stderr
    assert saved_steps(tmp_path / "run") == [2]
    train_large(tmp_path / "run")
    train_large(tmp_path / "straight")
    assert lines(tmp_path / "run") == lines(tmp_path / "straight")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError(122, "Disk quota exceeded", "/a/b"), r"quota exceeded \(/a/b\)"),
        (PermissionError(13, "Permission denied", "/a"), "Permission denied"),
        (ValueError("NOT_FOUND: x [os_error_code='2'] [y]"), "No such file"),
        (RuntimeError("strange\n" + "x" * 5000), "strange x{200,300};"),
    ],
)
def test_any_reason_is_one_line(tmp_path, monkeypatch, error, words):
    def fail(*_, **__):
        raise error

    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(checkpoints._manager, "save", fail)
    with pytest.raises(OSError, match=words) as raised:
        checkpoints.save(3, {"w": np.zeros(2)}, {})
    checkpoints.close()
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith("goes on from its beginning")


def test_late_reports_of_a_failure_are_silent_and_no_others(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    ours = sys.unraisablehook
    with report_once():
        pass
    assert sys.unraisablehook is ours
    with pytest.raises(OSError, match="full"), report_once():
        raise OSError("full")

    def unraisable(error):
        found = type("Found", (), {"exc_value": error})
        sys.unraisablehook(found)

    unraisable(RuntimeError("Event loop is closed"))
    unraisable(RuntimeError("another"))
    unraisable(None)
    assert [str(found.exc_value) for found in printed] == ["another", "None"]


def test_files_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    """What a write raises has no name of a file."""

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report.json, "dumps", full)
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        loop.train(
            LineTask(),
            make_optimizer(lr=0.1, steps=2),
            Batches(),
            loop.LoopOptions(steps=2, log_every=1),
            workdir=tmp_path,
            title="toy",
        )


def records(path):
    """Return the events of a file: length, its checksum, data, their checksum."""
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    return found


def test_tensorboard_gets_numbers_and_pictures(tmp_path):
    events = EventFile(tmp_path / "tensorboard", purge_step=5)
    events.scalar("train/loss", 0.5, 5)
    events.picture("eye", np.full((4, 6, 3), 200, np.uint8), 6)
    events.close()
    (path,) = tmp_path.glob("tensorboard/events.out.tfevents.*")
    first, _, start, number, picture = records(path)
    assert first.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (5, SessionLog.START)
    assert (number.step, number.summary.value[0].tag) == (5, "train/loss")
    assert number.summary.value[0].simple_value == 0.5
    image = picture.summary.value[0].image
    assert (picture.step, image.height, image.width) == (6, 4, 6)


def test_tensorboard_without_space_is_an_error_and_never_waits(tmp_path, monkeypatch):
    if not pathlib.Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    events = EventFile(tmp_path, purge_step=0)

    def fill():
        for step in range(100):
            with contextlib.suppress(OSError):
                events.scalar("train/loss", 0.5, step)
        events.scalar("train/loss", 0.5, 100)

    with open("/dev/full", "wb", buffering=0) as full, monkeypatch.context() as patch:
        patch.setattr(events._writer._py_recordio_writer, "_writer", full)
        with pytest.raises(OSError, match=f"No space left on device: '{tmp_path}'"):
            fill()
    events.close()

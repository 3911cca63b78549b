"""What commands do alike: one line for an error, a status for a stop, any name."""

import os
import signal
import subprocess
import sys

import pytest

from rkd_jax.runtime import command


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("a.png:\n too   small"), 2, "error: a.png: too small"),
        (OSError("no such file"), 2, "error: no such file"),
        (KeyError("key"), 2, "error: unexpected KeyError: 'key'; please report"),
        (MemoryError(), 2, "error: not enough memory: MemoryError"),
        (ValueError("\x1b[2J\udce9"), 2, r"error: \x1b[2J\udce9"),
        (KeyboardInterrupt(), 130, "stopped; what is finished is kept"),
    ],
)
def test_failures_are_one_line_and_a_status(capsys, error, status, words):
    assert command.run(lambda: _raise(error)) == status
    error_text = capsys.readouterr().err
    assert error_text.startswith(words)
    assert error_text.count("\n") == 1


def test_the_traceback_is_printed_if_asked_for(capsys, monkeypatch):
    monkeypatch.setenv("RKD_JAX_TRACEBACK", "1")
    error = KeyError("key")
    error.add_note("pair a")
    assert command.run(lambda: _raise(error)) == 2
    error_text = capsys.readouterr().err
    assert "Traceback (most recent call last)" in error_text
    assert "unexpected KeyError: 'key' (pair a); please report" in error_text


def test_sigterm_has_its_own_status_and_the_handler_is_put_back(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert command.run(lambda: os.kill(os.getpid(), signal.SIGTERM)) == 143
    assert signal.getsignal(signal.SIGTERM) == before
    assert "stopped" in capsys.readouterr().err


_PRINT = """
import sys
from rkd_jax.runtime import command
def action():
    for number in range(20000):
        command.say("caf\\xe9 \\udce9 \\u65e5 " + str(number))
        command.say("noted", sys.stderr)
    return 7
sys.exit(command.run(action))
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_no_name_and_no_closed_pipe_ends_a_command(encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with subprocess.Popen(
        [sys.executable, "-c", _PRINT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        first = process.stdout.readline().decode(encoding)
        process.stdout.close()
        error_text = process.stderr.read()
    shown = {"ascii": r"caf\xe9", "cp1252": "café", "utf-8": "café"}[encoding]
    assert first.split()[:2] == [shown, r"\udce9"]
    assert process.returncode == 7
    assert set(error_text.split()) == {b"noted"}

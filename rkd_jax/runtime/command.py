"""What all commands do alike: errors as one line, stops as a status, any name shown."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

from rkd_jax.files.portable import portable
from rkd_jax.runtime import extras

BAD_INPUT, INTERRUPTED, NOT_READ, TERMINATED = 2, 130, 141, 143
_EXPECTED = (OSError, ValueError, TypeError)


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def stop_status(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a command that was stopped: 130, or 143 by SIGTERM."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def shown(text: object) -> str:
    r"""Return text on one line for a terminal: what cannot be shown is escaped.

    >>> shown("caf\udce9\n.png")
    'caf\\udce9\\n.png'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode()
        for c in portable(str(text))
    )


def describe_error(error: BaseException) -> str:
    """Return an error as one line for a user.

    What no reader or check expects is called so, with the type of the exception; its
    traceback is printed if `RKD_JAX_TRACEBACK` is set in the environment.

    >>> describe_error(ValueError("a.png: too small"))
    'a.png: too small'
    >>> describe_error(OverflowError("too large"))
    'unexpected OverflowError: too large; please report this with the files (...)'
    """
    notes = [f"({note})" for note in getattr(error, "__notes__", ())]
    parts = " ".join(str(error).split()) or type(error).__name__
    text = shown(" ".join([parts, *notes]))
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}"
    missing = extras.advise(error) if isinstance(error, ImportError) else None
    if missing or isinstance(error, _EXPECTED):
        return missing or text
    if os.environ.get("RKD_JAX_TRACEBACK"):
        traceback.print_exception(error, file=sys.stderr)
    return (
        f"unexpected {type(error).__name__}: {text}; please report this with the files "
        "(RKD_JAX_TRACEBACK=1 shows where it happened)"
    )


def say(text: str, file: TextIO | None = None, *, end: str = "\n") -> None:
    """Print text; go on in silence where nobody reads any more (`| head`)."""
    stream = sys.stdout if file is None else file
    try:
        print(text, file=stream, end=end, flush=True)
    except BrokenPipeError:
        _silence(stream)


def _silence(stream: TextIO) -> None:
    """Let what is printed from now on, and at the end of Python, go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _any_name_shown() -> Iterator[None]:
    """Escape on stdout and stderr what their encoding lacks, while the block runs."""
    changed = []
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            changed.append((stream, stream.errors))
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in changed:
            with contextlib.suppress(BrokenPipeError):
                stream.reconfigure(errors=errors)


@contextlib.contextmanager
def _sigterm_raised() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` while the block runs in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise Terminated

    old = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        # None: a handler that Python did not set and cannot set again.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if old is None else old)


def run(action: Callable[[], int]) -> int:
    """Run a command; return its exit status.

    Args:
        action: does everything and returns the status.

    Returns:
        The status of `action`; 2 after an error, which is printed as one line; 130 or
        143 after Ctrl-C or SIGTERM, 141 where nobody reads what is printed.
    """
    with _any_name_shown():
        try:
            with _sigterm_raised():
                return action()
        except BrokenPipeError:  # by what does not print with `say`
            for stream in (sys.stdout, sys.stderr):
                _silence(stream)
            return NOT_READ
        except KeyboardInterrupt as stop:
            say("stopped; what is finished is kept", sys.stderr)
            return stop_status(stop)
        except Exception as error:
            say(f"error: {describe_error(error)}", sys.stderr)
            return BAD_INPUT

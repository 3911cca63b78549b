"""Stop in an orderly way: SIGTERM and SIGINT as an event that a run checks."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Interrupted(Exception):
    """SIGTERM or SIGINT came; what was done is saved."""


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn the first SIGTERM or SIGINT into an event while the block runs.

    A second signal acts as it did before the block, so that a second Ctrl-C ends the
    program at once.
    Outside of the main thread, where Python cannot handle signals, the event is never
    set.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    old = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in old.items():
            signal.signal(number, handler)

    def ask(number: int, frame: object) -> None:
        restore()
        stop.set()

    for number in old:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()

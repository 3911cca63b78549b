"""TensorBoard's file of a run, written in the thread that calls.

tensorboardX's `SummaryWriter` writes in a thread of its own. On a full disk that thread
ends with a traceback, and the events that follow wait for it for ever.
"""

import pathlib
import time
from typing import Any

import numpy as np

from rkd_jax.training.disk import name_file

_FLUSH_EVERY_S = 30.0


class EventFile:
    """A new event file in a folder; older ones are void from `purge_step` on.

    Args:
        folder: made if absent.
        purge_step: first step that this file may hold.

    Raises:
        OSError: the file cannot be written; of every method.
    """

    def __init__(self, folder: pathlib.Path, *, purge_step: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._flushed = folder, time.monotonic()
        self._writer = EventsWriter(str(folder / "events"))
        self._add(purge_step, file_version="brain.Event:2")
        self._add(purge_step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """Add a number."""
        from tensorboardX import summary

        self._add(step, summary=summary.scalar(name, value))

    def picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Add a uint8 RGB picture `[H, W, 3]`."""
        from tensorboardX import summary

        self._add(step, summary=summary.image(name, picture, dataformats="HWC"))

    def close(self) -> None:
        """Write buffered events and close the file."""
        with name_file(self._folder):
            self._writer.close()

    def _add(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        now = time.monotonic()
        with name_file(self._folder):
            event = Event(step=step, wall_time=time.time(), **content)
            self._writer.write_event(event)
            if now - self._flushed > _FLUSH_EVERY_S:
                self._flushed = now
                self._writer.flush()

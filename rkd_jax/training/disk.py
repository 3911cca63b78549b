"""A disk that is full or gone: the error names the file, and is shown once."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

# Of the error that TensorStore's threads raise after their save has failed.
_LATE = "Event loop is closed"


@contextlib.contextmanager
def name_file(path: str | os.PathLike[str]) -> Iterator[None]:
    """Add the name of a file to an `OSError` that has none, such as that of a write.

    >>> with name_file("a.txt"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'a.txt'
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)
        raise


@contextlib.contextmanager
def report_once() -> Iterator[None]:
    """Let Orbax and TensorStore not print a failure that the block raises anyway.

    Each of their threads logs it with a traceback, and threads that end later print
    another one. After a failure these stay silent until the process ends; after a block
    that succeeds, everything is printed as before.
    """
    logger, before = logging.getLogger("absl"), sys.unraisablehook

    def below_error(record: logging.LogRecord) -> bool:
        return record.levelno < logging.ERROR

    def without_late(found: Any) -> None:
        if not (
            isinstance(found.exc_value, RuntimeError) and _LATE in str(found.exc_value)
        ):
            before(found)

    logger.addFilter(below_error)
    sys.unraisablehook = without_late
    try:
        yield
        sys.unraisablehook = before
    finally:
        logger.removeFilter(below_error)


def reason(error: Exception) -> str:
    """Return in a few words why a file could not be written.

    >>> reason(ValueError("Failed to write 9 bytes [os_error_code='28'] [file.cc:7]"))
    'No space left on device'
    """
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}"
    number = re.search(r"os_error_code='(\d+)'", str(error))
    if number:
        return os.strerror(int(number[1]))
    return " ".join(str(error).split())[:300]

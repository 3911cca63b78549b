"""Work on many items: a progress bar, and results that are saved now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rkd_jax.runtime.command import say, shown

T = TypeVar("T")
SAVE_EVERY_S = 10.0
_LINE_EVERY_S = 20.0
_NO_BAR_S = 1.0  # what ends sooner, such as by an error, shows none


def progress(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield the items, with a bar on stderr; in a log file a line every 20 s.

    Args:
        items: in this order.
        what: the items' noun, such as "pair".
        total: how many there are; None: `len(items)`.

    >>> list(progress([1, 2], "pair"))
    [1, 2]
    """
    from tqdm import tqdm

    file, every_s = sys.stderr, 0.1
    if not file.isatty():
        file, every_s = _Lines(), _LINE_EVERY_S
    yield from tqdm(
        items,
        total=total,
        unit=f" {what}s",
        mininterval=every_s,
        delay=_NO_BAR_S,
        file=file,
    )


class _Lines:
    """Stderr as a log file: a bar that moves becomes lines."""

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


def bar_aside() -> contextlib.AbstractContextManager[None]:
    """Take the bar of `progress` off a terminal while a block prints lines there."""
    if not sys.stderr.isatty():
        return contextlib.nullcontext()
    from tqdm import tqdm

    return tqdm.external_write_mode()


def say_note(text: str) -> None:
    """Print a note on stderr, beside a bar of `progress`."""
    with bar_aside():
        say(f"note: {shown(text)}", sys.stderr)


@contextlib.contextmanager
def saving(
    save: Callable[[], None], *, every_s: float = SAVE_EVERY_S
) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each result, which saves all of them at times.

    Writing everything after each of N results would take time in the square of N. A
    block that ends in any way, by Ctrl-C too, saves what is not saved yet; a killed
    program loses the results of the last `every_s` seconds.

    Args:
        save: writes all results.
        every_s: seconds between two saves, at least.

    >>> with saving(lambda: print("saved")) as changed:
    ...     changed()
    ...     changed()
    saved
    """
    saved_at, unsaved = time.monotonic(), False

    def changed() -> None:
        nonlocal saved_at, unsaved
        unsaved = True
        if time.monotonic() - saved_at >= every_s:
            save()
            saved_at, unsaved = time.monotonic(), False

    try:
        yield changed
    finally:
        if unsaved:
            save()

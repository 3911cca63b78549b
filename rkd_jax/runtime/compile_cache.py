"""Keep compiled programs between processes."""

import argparse
import logging
import math
import os
import pathlib

logger = logging.getLogger(__name__)

LEAST_SECONDS = 0.1
"""Programs that compile faster are not worth a file."""


def default_folder() -> str:
    """Return where compiled programs are kept unless a command says otherwise.

    The environment variable `RKD_JAX_CACHE_DIR` (empty: nowhere) if there is one, else
    `rkd_jax` in the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`. Empty where
    the user has no home: an id without an entry in the list of users, and no `HOME`.
    """
    given = os.environ.get("RKD_JAX_CACHE_DIR")
    if given is not None:
        return given
    base = pathlib.Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is to be ignored, as the XDG specification says.
    if not base.is_absolute():
        try:
            base = pathlib.Path.home() / ".cache"
        except RuntimeError:
            return ""
    return str(base / "rkd_jax") if base.is_absolute() else ""


def keep_compiled(folder: str | None = None) -> None:
    """Let JAX read compiled programs from a folder, and write new ones there.

    The commands do so by themselves. A program of your own calls it once, before its
    first registration, as `rkd_jax.keep_compiled()`; it then starts as fast as they.

    A program is found again where its code, shapes, JAX version and device are the
    same. Nothing happens with an empty `folder`, or where JAX has been given a folder
    of its own (`JAX_COMPILATION_CACHE_DIR`). A folder that cannot be written is only
    read, and one that cannot be made is not used; a line of the log says so.

    Args:
        folder: made when the first program is written; None: `default_folder()`;
            empty keeps nothing.
    """
    import jax

    folder = default_folder() if folder is None else folder
    if not folder or jax.config.jax_compilation_cache_dir:
        return
    path, least = pathlib.Path(folder), LEAST_SECONDS
    if not _writable(path):
        logger.warning(
            "compiled programs are not kept: %s cannot be written; name another "
            "folder with --compilation_cache_dir or RKD_JAX_CACHE_DIR, or none",
            folder,
        )
        if not _readable(path):
            return
        least = math.inf
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


def _writable(path: pathlib.Path) -> bool:
    """Return whether files can be made in a folder, which need not exist yet."""
    path = path.absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


def _readable(path: pathlib.Path) -> bool:
    return path.is_dir() and os.access(path, os.R_OK | os.X_OK)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--compilation_cache_dir` to the `argparse` parser of a command."""
    folder = default_folder()
    parser.add_argument(
        "--compilation_cache_dir",
        metavar="DIR",
        default=folder,
        help="compiled programs are kept here "
        f"(default: {folder.replace('%', '%%') or 'nowhere'}); '': nowhere",
    )

"""Keep compiled programs between runs of the doors."""

import argparse
import os
import pathlib

LEAST_SECONDS = 1.0
"""Programs that compile faster are not worth a file."""


def default_folder() -> str:
    """Return where compiled programs are kept unless a door is told otherwise.

    The environment variable `RKD_JAX_CACHE_DIR` (empty: nowhere) if there is one, else
    `rkd_jax` in the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`.
    """
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return os.environ.get("RKD_JAX_CACHE_DIR", str(pathlib.Path(base) / "rkd_jax"))


def keep_compiled(folder: str) -> None:
    """Let JAX read compiled programs from a folder, and write new ones there.

    A program is found again where its code, shapes, JAX version and device are the
    same. Nothing happens with an empty `folder`, or where JAX has been given a folder
    of its own (`JAX_COMPILATION_CACHE_DIR`).

    Args:
        folder: made when the first program is written; empty keeps nothing.
    """
    import jax

    if not folder or jax.config.jax_compilation_cache_dir:
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--compilation_cache_dir` to the `argparse` parser of a door."""
    parser.add_argument(
        "--compilation_cache_dir",
        metavar="DIR",
        default=default_folder(),
        help="compiled programs are kept here (default: %(default)s); '': nowhere",
    )

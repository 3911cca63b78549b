"""Every command by its name: `rkd-jax COMMAND ...`, `python -m rkd_jax COMMAND ...`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rkd_jax.runtime import extras
from rkd_jax.version import __version__

BAD_INPUT = 2

# Module, what it does.
COMMANDS = {
    "register": ("rkd_jax.register", "register photographs"),
    "apply": ("rkd_jax.apply", "apply a transform to images and points"),
    "lesions": ("rkd_jax.lesions.__main__", "find lesions in photographs"),
    "classify": ("rkd_jax.classify", "classify images"),
    "evaluate": ("rkd_jax.evaluate", "measure on a benchmark"),
    "train": ("rkd_jax.train", "train an experiment"),
    "prepare": ("rkd_jax.data.builders.__main__", "prepare a data set for TFDS"),
    "convert-weights": ("rkd_jax.weights.convert", "convert PyTorch weights"),
    "label-junctions": (
        "rkd_jax.junctions.__main__",
        "make keypoint labels of vessel masks",
    ),
}


def usage() -> str:
    """Return the list of the commands.

    >>> print(usage().splitlines()[0])
    usage: rkd-jax COMMAND ...
    """
    lines = [f"  {name:16} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: rkd-jax COMMAND ...",
            "",
            *lines,
            "",
            "`rkd-jax COMMAND --help` shows its arguments; `rkd-jax --version`.",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; return its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] in (["-h"], ["--help"]):
        print(usage())
        return 0
    if given[:1] == ["--version"]:
        print(f"rkd_jax {__version__}")
        return 0
    if not given or given[0] not in COMMANDS:
        found = f"found {given[0]!r}" if given else "found none"
        print(f"{usage()}\nerror: expected a command, {found}", file=sys.stderr)
        return BAD_INPUT
    if given[1:] == ["--version"]:
        print(f"rkd_jax {__version__}")
        return 0
    if argv is None:  # what parsers without a name of their own show as theirs
        sys.argv[0] = f"rkd-jax {given[0]}"
    try:
        return importlib.import_module(COMMANDS[given[0]][0]).main(given[1:])
    except ImportError as error:
        advice = extras.advise(error)
        if advice is None:
            raise
        print(f"error: {advice}", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())

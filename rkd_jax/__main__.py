"""Every command by its name: `rkd-jax COMMAND ...`, `python -m rkd_jax COMMAND ...`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from rkd_jax.runtime import extras, shipped
from rkd_jax.version import __version__

BAD_INPUT = 2

# Module, what it does; files of `tools` where the module has no dot.
COMMANDS = {
    "register": ("rkd_jax.register", "register photographs"),
    "evaluate": ("rkd_jax.evaluate", "measure on a benchmark"),
    "train": ("rkd_jax.train", "train an experiment"),
    "prepare": ("rkd_jax.data.builders.__main__", "prepare a data set for TFDS"),
    "convert-weights": ("convert_weights", "convert PyTorch weights"),
    "label-junctions": ("label_junctions", "make keypoint labels of vessel masks"),
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
        return _load(COMMANDS[given[0]][0]).main(given[1:])
    except ImportError as error:
        advice = extras.advise(error)
        if advice is None:
            raise
        print(f"error: {advice}", file=sys.stderr)
        return BAD_INPUT


def _load(name: str) -> Any:
    """Import the module of a command."""
    if "." in name:
        return importlib.import_module(name)
    path = shipped.folder("tools") / f"{name}.py"
    if not path.is_file():
        raise SystemExit(f"error: {path}: no such file; reinstall rkd_jax")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())

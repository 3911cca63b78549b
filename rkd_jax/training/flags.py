"""The command line of `rkd_jax.train`: its flags, and errors in plain words."""

import difflib
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

from rkd_jax import config as schema
from rkd_jax.runtime import shipped
from rkd_jax.runtime.compile_cache import default_folder
from rkd_jax.version import __version__


class UsageError(ValueError):
    """The command line is not usable."""


class CommandLine(NamedTuple):
    """What was asked for on the command line.

    Attributes:
        config: of the experiment, with its overrides; not validated.
        flags: all other flags, by attribute.
    """

    config: schema.Config
    flags: Any


def parse(argv: Sequence[str], usage: str) -> CommandLine:
    """Parse the command line; end with status 2 and a plain message if it is wrong.

    `--version` and `--help` are answered, with status 0 and without a `--config`.

    Args:
        argv: without the program's name.
        usage: text of `--help` above the flags.
    """
    if "--version" in argv:
        print(f"rkd_jax {__version__}")
        sys.exit(0)
    asks_help = bool({"-h", "-help", "--help"} & set(argv))
    try:
        given, file = _with_config_file([] if asks_help else ["rkd_jax.train", *argv])
        flags, holder = _define(given)
        if asks_help:
            print(usage)
            print(flags.module_help("rkd_jax.training.flags"))
            sys.exit(0)
        try:
            rest = flags(given)
        except KeyError:
            _refuse_unknown_fields(given, flags["config"].parser.parse(file))
            raise
        if len(rest) > 1:
            raise UsageError(f"unknown arguments: {' '.join(rest[1:])}")
        if not isinstance(holder.value, schema.Config):
            raise UsageError(
                f"--config: {file} gives a {type(holder.value).__name__}; expected a "
                "rkd_jax.config.Config"
            )
        return CommandLine(holder.value, flags)
    except Exception as error:  # a config file is code: it may raise anything
        print(f"error: {_plain(error)}", file=sys.stderr)
        sys.exit(2)


def _define(argv: Sequence[str]) -> tuple[Any, Any]:
    """Return the flags, not parsed, and the holder of the config (`.value`)."""
    from absl import flags
    from ml_collections import config_flags

    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        "config",
        None,
        "Experiment: a file, e.g. configs/rkd.py:demo, or a name that comes with the "
        f"package ({', '.join(shipped.config_names())}), e.g. rkd:demo.",
        flag_values=values,
        sys_argv=list(argv),
        lock_config=True,
    )
    flags.DEFINE_boolean("version", False, "Show the version.", values)
    flags.DEFINE_string(
        "workdir", None, "Where the run is kept; default runs/NAME.", values
    )
    flags.DEFINE_string(
        "compilation_cache_dir",
        default_folder(),
        "Compiled programs are kept here; empty: nowhere.",
        values,
    )
    flags.DEFINE_string(
        "coordinator",
        "",
        "Several processes: address:port of the first, or 'auto' to ask the cluster "
        "(jax.distributed).",
        values,
    )
    flags.DEFINE_integer(
        "num_processes", 1, "Processes in all, with --coordinator.", flag_values=values
    )
    flags.DEFINE_integer(
        "process_id", 0, "Number of this process, from 0.", flag_values=values
    )
    flags.mark_flag_as_required("config", values)
    return values, holder


def _with_config_file(argv: Sequence[str]) -> tuple[list[str], str]:
    """Return the command line with the file that `--config` means, and that file.

    That file may import its neighbors, from wherever the command is called.

    Raises:
        UsageError: there is no such file, or the value is missing.
    """
    changed, file = list(argv), ""
    for place, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name not in ("--config", "-config"):
            continue
        if not equals and place + 1 == len(argv):
            raise UsageError("--config: the name of an experiment is missing")
        try:
            file = shipped.find_config(value if equals else argv[place + 1])
        except FileNotFoundError as error:
            raise UsageError(f"--config: {error}") from None
        sys.path.append(str(pathlib.Path(file.split(":")[0]).absolute().parent))
        if equals:
            changed[place] = f"{name}={file}"
        else:
            changed[place + 1] = file
    if argv and not file:
        names = ", ".join(shipped.config_names())
        raise UsageError(
            "--config is missing: name a file, or an experiment that comes with the "
            f"package ({names}), as in --config rkd:demo"
        )
    return changed, file


def _refuse_unknown_fields(argv: Sequence[str], config: schema.Config) -> None:
    """Name the first override of a field that the experiment does not have."""
    known = schema.flatten_dict(schema.as_dict(config))
    for argument in argv[1:]:
        field = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
        if field and field[1] not in known:
            near = difflib.get_close_matches(field[1], known, 5, 0.5)
            hint = f"; did you mean {', '.join(near)}?" if near else "."
            raise UsageError(
                f"config.{field[1]}: no such field{hint} The fields of this "
                f"experiment are in rkd_jax/config/schema.py and those of its task in "
                f"{type(config.task).__module__}"
            )


def _plain(error: Exception) -> str:
    """Return an error on one line; what a config file raises may be a traceback."""
    from absl import flags

    ours = isinstance(error, (flags.Error, UsageError, IndexError, TypeError))
    text = str(error) if ours else f"--config: {type(error).__name__}: {error}"
    lines = [line.strip() for line in text.strip().splitlines()]
    if "Traceback" in text:
        lines = [lines[0], lines[-1]]
    return " ".join(lines)

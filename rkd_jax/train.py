"""Train an experiment: `python -m rkd_jax.train --config configs/NAME.py[:variant]`.

`--config NAME[:variant]` is an experiment that comes with the package. Fields are
overridden one by one, as in `--config.optim.lr=3e-4`. Rerunning the same line goes on
where the last run ended, and a larger `--config.loop.steps` makes that run longer. An
experiment may have stages (`rkd_jax.config.list_stages`): pre-training of the encoder,
the teacher and the student without teacher lie in `pretraining/`, `teacher/` and
`scratch/` of its work directory. `weights.safetensors` is what `register` and
`evaluate` read.
"""

import difflib
import logging
import pathlib
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from rkd_jax import config as schema
from rkd_jax.runtime import extras, shipped
from rkd_jax.runtime.compile_cache import default_folder, keep_compiled
from rkd_jax.runtime.memory import keep_freed_memory, start_again
from rkd_jax.version import __version__


class _UsageError(ValueError):
    """The command line is not usable."""


def prepare_jax(cache_dir: str) -> None:
    """Set up what a training process wants, before anything large is allocated.

    Progress lines are shown, memory is made cheap, and compiled programs are kept in
    `cache_dir`, unless it is empty.
    """
    _start_logging()
    keep_freed_memory()
    keep_compiled(cache_dir)


def _join_processes(coordinator: str, count: int, number: int) -> None:
    """Join the other processes, if there are any."""
    import jax

    if coordinator == "auto":
        jax.distributed.initialize()
    elif coordinator:
        jax.distributed.initialize(coordinator, count, number)
    if jax.process_count() > 1:
        # The first collective of CPU processes must find all of them within seconds:
        # make it now, before their compile times can differ.
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("start")


def _start_logging() -> None:
    """Show our own lines from INFO on; of the libraries below, warnings only."""
    from absl import logging as absl_logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = logging.getLogger("rkd_jax")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    absl_logging.set_verbosity(absl_logging.WARNING)


def train(config: schema.Config, workdir: pathlib.Path) -> None:
    """Train an experiment; the first process prints what its stages score.

    It raises what `rkd_jax.training.experiment.run` raises.
    """
    import jax

    from rkd_jax.training import experiment
    from rkd_jax.training.run_folder import WEIGHTS

    started = time.monotonic()
    results = experiment.run(config, workdir)
    minutes = (time.monotonic() - started) / 60
    if jax.process_index() != 0:
        return
    if any(results.values()):
        print(f"Held out ({minutes:.1f} minutes in all):")
        print(table(results))
    print(f"Weights: {workdir.absolute() / WEIGHTS}")


def table(results: dict[str, dict[str, float]]) -> str:
    """Return the scores of the stages as text: a line a stage, a column a metric.

    A metric that a stage lacks is shown as nan.

    >>> print(table({"teacher": {"score": 0.5}, "encoder": {}}))
      network                score
      teacher                0.500
    """
    scored = {name: metrics for name, metrics in results.items() if metrics}
    columns = list(dict.fromkeys(key for m in scored.values() for key in m))
    lines = ["  " + "network".ljust(12) + "".join(c.rjust(16) for c in columns)]
    for name, metrics in scored.items():
        row = "".join(f"{metrics.get(c, float('nan')):16.3f}" for c in columns)
        lines.append("  " + name.ljust(12) + row)
    return "\n".join(lines)


def _define_flags() -> Any:
    from absl import flags
    from ml_collections import config_flags

    holder = config_flags.DEFINE_config_file(
        "config",
        None,
        "Experiment: a file, e.g. configs/rkd.py:demo, or a name that comes with the "
        f"package ({', '.join(shipped.config_names())}), e.g. rkd:demo.",
        lock_config=True,
    )
    flags.DEFINE_boolean("version", False, "Show the version.")
    flags.DEFINE_string("workdir", None, "Where the run is kept; default runs/NAME.")
    flags.DEFINE_string(
        "compilation_cache_dir",
        default_folder(),
        "Compiled programs are kept here; empty: nowhere.",
    )
    flags.DEFINE_string(
        "coordinator",
        "",
        "Several processes: address:port of the first, or 'auto' where the cluster "
        "tells it (jax.distributed).",
    )
    flags.DEFINE_integer("num_processes", 1, "Processes in all, with --coordinator.")
    flags.DEFINE_integer("process_id", 0, "Number of this process, from 0.")
    flags.mark_flag_as_required("config")
    return holder


def _with_config_file(argv: Sequence[str]) -> list[str]:
    """Return the command line with the file that `--config` means.

    That file may import its neighbors, from wherever the command is called.

    Raises:
        _UsageError: there is none, or the value is missing.
    """
    found = list(argv)
    for place, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name not in ("--config", "-config"):
            continue
        if not equals and place + 1 == len(argv):
            raise _UsageError("--config: the name of an experiment is missing")
        try:
            file = shipped.find_config(value if equals else argv[place + 1])
        except FileNotFoundError as error:
            raise _UsageError(f"--config: {error}") from None
        sys.path.append(str(pathlib.Path(file.split(":")[0]).absolute().parent))
        if equals:
            found[place] = f"{name}={file}"
        else:
            found[place + 1] = file
    return found


def _show_and_end(argv: Sequence[str]) -> None:
    """Answer `--version` and `--help`, with status 0 and without a `--config`."""
    from absl import flags

    if "--version" in argv[1:]:
        print(f"rkd_jax {__version__}")
        sys.exit(0)
    if {"-h", "-help", "--help"} & set(argv[1:]):
        print(__doc__)
        print(flags.FLAGS.module_help(flags.FLAGS.find_module_defining_flag("workdir")))
        sys.exit(0)


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parse the command line; end with status 2 and a plain message if it is wrong."""
    from absl import flags

    _show_and_end(argv)
    known = schema.flatten(schema.as_dict(schema.Config()))
    try:
        argv = _with_config_file(argv)
        for argument in argv[1:]:
            field = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
            if field and field[1] not in known:
                near = difflib.get_close_matches(field[1], known, 5, 0.5)
                raise _UsageError(
                    f"config.{field[1]}: no such field; "
                    + (f"did you mean {', '.join(near)}? " if near else "")
                    + "All are in rkd_jax/config/schema.py"
                )
        return flags.FLAGS(argv)
    except Exception as error:  # a config file is code: it may raise anything
        told = isinstance(error, (flags.Error, _UsageError, IndexError, TypeError))
        text = str(error) if told else f"--config: {type(error).__name__}: {error}"
        # What it raises may come as the text of its traceback.
        lines = text.strip().splitlines()
        shown = [line.strip() for line in lines]
        if "Traceback" in str(error):
            shown = [shown[0], shown[-1]]
        print("error: " + " ".join(shown), file=sys.stderr)
        sys.exit(2)


def exit_status(work: Callable[[], Any]) -> int:
    """Do what trains, print what stopped it, and return the exit status.

    0: finished; 2: bad usage or bad input; 1: the loss went non-finite; 143: stopped by
    a signal, saved.
    """
    from rkd_jax.training.checkpoint import CheckpointError
    from rkd_jax.training.loop import NonFiniteLossError
    from rkd_jax.training.signals import Interrupted

    try:
        work()
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"{stop}; the same command goes on from there", file=sys.stderr)
        return 143
    except (ValueError, OSError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _run(rest: Sequence[str], holder: Any) -> int:
    """Run the experiment named by the flags; return the `exit_status`."""
    from absl import flags

    def work() -> None:
        if len(rest) > 1:
            raise _UsageError(f"unknown arguments: {' '.join(rest[1:])}")
        given, config = flags.FLAGS, holder.value
        name = pathlib.Path(given["config"].config_filename.split(":")[0]).stem
        prepare_jax(given.compilation_cache_dir)
        _join_processes(given.coordinator, given.num_processes, given.process_id)
        train(config, pathlib.Path(given.workdir or f"runs/{name}"))

    return exit_status(work)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line in this process, or a new one; end with its exit code."""
    try:
        extras.require("train")
    except extras.MissingExtraError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    from absl import app

    start_again()
    holder = _define_flags()
    app.run(
        lambda rest: sys.exit(_run(rest, holder)),
        argv=None if argv is None else [sys.argv[0], *argv],
        flags_parser=_parse_flags,
    )


if __name__ == "__main__":
    main()

"""Train an experiment: `python -m rkd_jax.train --config configs/NAME.py[:variant]`.

`--config NAME[:variant]` is an experiment that comes with the package. Fields are
overridden one by one, as in `--config.optim.lr=3e-4`. Rerunning the same line goes on
where the last run ended, and a larger `--config.loop.steps` makes that run longer. An
experiment may have several runs: pre-training of the encoder, the teacher and the
student without teacher lie in `pretraining/`, `teacher/` and `scratch/` of its work
directory. `weights.safetensors` is what `register` and `evaluate` read.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from rkd_jax import config as schema
from rkd_jax.runtime import extras
from rkd_jax.runtime.command import INTERRUPTED
from rkd_jax.runtime.memory import start_again
from rkd_jax.runtime.start import join_processes, prepare_jax
from rkd_jax.training import flags as command_line


def train(config: schema.Config, workdir: pathlib.Path) -> None:
    """Train an experiment; the first process prints the scores of its runs.

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
    """Return the scores of runs as text: a line a run, a column a metric.

    A metric that a run lacks is shown as nan.

    >>> print(table({"teacher": {"score": 0.5}, "encoder": {}}))
      network                score
      teacher                0.500
    >>> print(table({"teacher": {"accuracy": 0.5, "balanced_accuracy": 0.25}}))
      network             accuracy  balanced_accuracy
      teacher                0.500              0.250
    """
    scored = {name: metrics for name, metrics in results.items() if metrics}
    columns = list(dict.fromkeys(key for m in scored.values() for key in m))
    first = max(12, *(len(name) + 2 for name in scored))
    widths = {name: max(16, len(name) + 2) for name in columns}
    head = "".join(name.rjust(width) for name, width in widths.items())
    lines = ["  " + "network".ljust(first) + head]
    for name, metrics in scored.items():
        row = "".join(f"{metrics.get(c, float('nan')):{widths[c]}.3f}" for c in columns)
        lines.append("  " + name.ljust(first) + row)
    return "\n".join(lines)


def exit_status(work: Callable[[], Any]) -> int:
    """Do work that trains, print the error that ended it, return the exit status.

    0: finished; 2: bad usage or bad input; 1: the loss is not finite; 143: a signal
    came, and the run is saved.
    """
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
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line in this process, or a new one; return its exit status."""
    extras.exit_without("train")
    start_again()
    asked = command_line.parse(sys.argv[1:] if argv is None else argv, __doc__ or "")

    def work() -> None:
        config, flags = asked.config.validate(), asked.flags
        name = pathlib.Path(flags["config"].config_filename.split(":")[0]).stem
        prepare_jax(flags.compilation_cache_dir)
        join_processes(flags.coordinator, flags.num_processes, flags.process_id)
        train(config, pathlib.Path(flags.workdir or f"runs/{name}"))

    try:
        return exit_status(work)
    except KeyboardInterrupt:  # before the first run, or the second time
        print("stopped; the same command goes on from what is saved", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

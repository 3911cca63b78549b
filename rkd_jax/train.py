"""Train an experiment: `python -m rkd_jax.train --config configs/NAME.py[:variant]`.

Rerunning the same line goes on where the last run ended. A run may have stages, each
with a work directory of its own: pre-training of the encoder, the teacher, the student
without teacher (for comparison), and the experiment itself, whose `weights.safetensors`
is what `register` and `evaluate` read.
"""

import copy
import dataclasses
import difflib
import hashlib
import json
import logging
import math
import os
import pathlib
import re
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags
from absl import logging as absl_logging

from rkd_jax import config as schema
from rkd_jax.allocation import keep_freed_memory, start_again
from rkd_jax.compiled import default_folder, keep_compiled
from rkd_jax.files import write_text

PyTree = Any
logger = logging.getLogger(__name__)
WEIGHTS, BEST, CONFIG = "weights.safetensors", "best.safetensors", "config.json"
DATA = "data.json"
# What may change between a run and its continuation.
FREE_FIELDS = ("loop.log_every", "loop.keep", "data.num_threads", "data.cache_mb")


class UsageError(ValueError):
    """The command line, the config or the work directory is not usable."""


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training run: its config, work directory, and name in the progress lines."""

    title: str
    config: schema.Config
    workdir: pathlib.Path


def stages(config: schema.Config, workdir: pathlib.Path) -> list[Stage]:
    """Return the runs that an experiment is made of, in order; the last is its own.

    Args:
        config: validated.
        workdir: of the experiment.
    """
    plan = []
    if config.pretrain.steps and not config.init_weights:
        plan.append(Stage("encoder", _pretraining(config), workdir / "pretraining"))
    if config.task.distill and not config.teacher.weights:
        plan.append(Stage("teacher", _teacher(config), workdir / "teacher"))
    if config.compare_scratch:
        plan.append(Stage("scratch", _derived(config), workdir / "scratch"))
    return [
        *plan,
        Stage("student" if config.task.distill else "network", config, workdir),
    ]


def _derived(config: schema.Config) -> schema.Config:
    """Return a copy without stages of its own."""
    derived = copy.deepcopy(config)
    derived.compare_scratch = False
    derived.task.distill = False
    derived.pretrain.steps = 0
    derived.teacher = schema.TeacherConfig()
    return derived


def _teacher(config: schema.Config) -> schema.Config:
    derived = _derived(config)
    derived.model = copy.deepcopy(config.teacher.model)
    derived.loop.steps = config.teacher.steps
    derived.optim.lr = config.teacher.lr
    derived.init_weights = ""
    return derived


def _pretraining(config: schema.Config) -> schema.Config:
    derived = _derived(config)
    derived.task.name = "pretraining"
    derived.loop.steps = config.pretrain.steps
    derived.optim.lr = config.pretrain.lr
    return derived


def run(config: schema.Config, workdir: str | os.PathLike[str]) -> dict[str, Any]:
    """Train every stage of an experiment and return each stage's last metrics.

    Args:
        config: validated here.
        workdir: made if absent; a run found in it goes on.

    Raises:
        UsageError: the work directory holds a run of another config.
        Interrupted: SIGTERM or SIGINT came; the run is saved.
        ValueError: the config or the data are not usable.
    """
    from rkd_jax.training.signals import stop_signals

    config.validate()
    workdir = pathlib.Path(workdir).absolute()
    plan = stages(config, workdir)
    results, started = {}, time.monotonic()
    # What the last stage will not take is told before the first one has run.
    given = _check_given(config)
    for stage in plan:
        _claim(stage.workdir, stage.config)
    held_out: dict[str, Any] = {}
    with stop_signals() as stop:
        for stage in plan:
            if stage.title == "teacher":
                logger.info("no teacher given: training one in %s", stage.workdir)
            # The encoder starts the student with and without teacher alike.
            starts_there = stage.title in ("scratch", plan[-1].title)
            results[stage.title] = _run_stage(
                stage, given if starts_there else {}, held_out, stop
            )
            given[stage.title] = str(stage.workdir / WEIGHTS)
    minutes = (time.monotonic() - started) / 60
    _summary(results, workdir, minutes)
    return results


def _check_given(config: schema.Config) -> dict[str, str]:
    """Read the weights files that the config names, and refuse other networks.

    Returns:
        Path of each, by what it is for.
    """
    from rkd_jax import weights

    files = {"encoder": (config.init_weights, config.model)}
    if config.task.distill:
        files["teacher"] = (config.teacher.weights, config.teacher.model)
    given = {}
    for role, (name, wanted) in files.items():
        if name:
            path = str(weights.find(name))
            loaded = weights.load(path)
            _same_network(path, loaded, wanted)
            _same_decoding(path, loaded, config, teacher=role == "teacher")
            given[role] = path
    return given


def _run_stage(
    stage: Stage,
    given: dict[str, str],
    held_out: dict[str, Any],
    stop: threading.Event,
) -> dict[str, float]:
    """Train one stage and write its weights.

    Stages of one task are scored on the same data, which `held_out` keeps by its name.
    """
    import jax

    from rkd_jax import models, tasks, weights
    from rkd_jax.data import pipeline
    from rkd_jax.training import loop, state, step

    config, workdir = stage.config, stage.workdir
    source = tasks.training_source(config)
    _claim_data(workdir, source)
    share = _share(config.data.batch_size, jax.process_count())
    steps_per_epoch = max(len(source) // config.data.batch_size, 1)
    logger.info(
        "%s: %d images (%d labelled), %d processes, %d devices",
        stage.title,
        len(source),
        source.n_labelled,
        jax.process_count(),
        jax.device_count(),
    )
    teacher_model = teacher = teacher_grid = None
    if config.task.distill:
        loaded = weights.load(given["teacher"])
        _same_network(given["teacher"], loaded, config.teacher.model)
        teacher = loaded.variables
        teacher_grid = loaded.preprocess.get("descriptor_grid")
        how = {"compute_dtype": config.teacher.model.compute_dtype}
        teacher_model = models.build(loaded.model, **{**loaded.options, **how})
    task = tasks.build(
        config.task,
        model=models.build(config.model.name, **config.model.options()),
        crop=config.data.crop,
        labeled=source.n_labelled,
        steps_per_epoch=steps_per_epoch,
        teacher_model=teacher_model,
        teacher_grid=teacher_grid,
        axis_name=step.AXIS,
    )
    optimizer = state.make_optimizer(
        lr=config.optim.lr,
        steps=config.loop.steps,
        schedule=config.optim.schedule,
        warmup_steps=config.optim.warmup_steps,
        weight_decay=config.optim.weight_decay,
        clip_norm=config.optim.clip_norm,
    )
    batches = pipeline.batches(
        source,
        batch_size=share,
        seed=config.seed,
        shuffle=True,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.data.num_threads,
        labelled_share=_mixed(config, source),
    )
    if config.task.name not in held_out:
        held_out[config.task.name] = tasks.held_out(config)
    start = None
    if given.get("encoder"):
        loaded = weights.load(given["encoder"])
        _same_network(given["encoder"], loaded, config.model)
        start = loaded.variables

    def save(name: str, variables: PyTree, metrics: dict[str, float]) -> None:
        if jax.process_index() == 0:
            _save_weights(workdir / name, task, config, variables, metrics)

    outcome = loop.train(
        task,
        optimizer,
        batches,
        loop.Plan(
            steps=config.loop.steps,
            log_every=config.loop.log_every,
            eval_every=config.loop.eval_every,
            checkpoint_every=config.loop.checkpoint_every,
            keep=config.loop.keep,
            seed=config.seed,
            ema_decay=config.optim.ema_decay,
        ),
        workdir=workdir,
        title=stage.title,
        teacher=teacher,
        variables=start,
        eval_data=held_out[config.task.name],
        on_best=lambda variables, metrics: save(BEST, variables, metrics),
        describe=lambda batch: _describe(source, batch),
        stop=stop,
    )
    save(WEIGHTS, outcome.variables, outcome.metrics)
    if jax.process_count() > 1:
        # The next stage of every process reads what the first one has just written.
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(f"weights of {stage.title}")
    return outcome.metrics


def _mixed(config: schema.Config, source: Any) -> float:
    """Return the share of labelled images; 0, no mixing, if all are of one kind."""
    both = 0 < source.n_labelled < len(source)
    return config.data.labeled_share if both else 0.0


def _share(batch_size: int, processes: int) -> int:
    if batch_size % processes:
        raise UsageError(
            f"config.data.batch_size is {batch_size}, which {processes} processes "
            "cannot share; choose a multiple"
        )
    return batch_size // processes


def _same_network(path: str, loaded: Any, wanted: schema.ModelConfig) -> None:
    """Refuse weights of another network than the config asks for."""
    from rkd_jax import models

    if loaded.model != wanted.name:
        raise UsageError(
            f"{path} holds weights of {loaded.model}; the config asks for {wanted.name}"
        )
    # A file need not name the options that have their default.
    network = models.build(loaded.model, **loaded.options)
    ignored = {"compute_dtype", "drop_rate"}
    asked = {k: v for k, v in wanted.options().items() if k not in ignored}
    for key, value in asked.items():
        found = getattr(network, key)
        if list(_listed(found)) != list(_listed(value)):
            raise UsageError(
                f"{path} was made with {key} = {found}; the config asks for {value}"
            )


def _same_decoding(
    path: str, loaded: Any, config: schema.Config, *, teacher: bool
) -> None:
    """Refuse weights whose heatmaps of faces mean other points than the config's.

    A teacher's are compared pixel by pixel: their size and spread must agree as well.
    """
    if config.task.name != "landmarks":
        return
    wanted = _preprocess(config)
    keys = ("channel", "box_scale", "temperature")
    for key in (*keys, "size", "sigma_px") if teacher else keys:
        found = loaded.preprocess.get(key)
        if found != wanted[key]:
            raise UsageError(
                f"{path} was made with {key} = {found}; the config asks for "
                f"{wanted[key]}"
            )


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _describe(source: Any, batch: dict[str, Any]) -> str:
    return ", ".join(source.names[int(i)] for i in batch["record"])


def _save_weights(
    path: pathlib.Path,
    task: Any,
    config: schema.Config,
    variables: PyTree,
    metrics: dict[str, float],
) -> None:
    from rkd_jax import weights

    options = config.model.options()
    # How the run computed, not what it has learnt: a reader has its own device.
    del options["compute_dtype"]
    weights.save(
        path,
        task.network(variables),
        model=config.model.name,
        options=options,
        preprocess=_preprocess(config),
        recipe={"config": _without_folders(config), "metrics": _finite(metrics)},
    )


def _preprocess(config: schema.Config) -> dict[str, Any]:
    """Return how the network's images are prepared, for its weights file."""
    if config.task.name == "landmarks":
        side = config.data.crop or config.data.size
        return {
            "channel": "luma",
            "size": side,
            "box_scale": config.data.box_scale,
            "temperature": config.task.landmarks.temperature,
            "sigma_px": config.task.landmarks.sigma_px,
        }
    return {
        "channel": "green",
        "size": config.data.size,
        "descriptor_grid": config.task.descriptor_grid,
    }


def _finite(tree: Any) -> Any:
    """Return nested dicts with None for numbers that JSON does not have."""
    if isinstance(tree, dict):
        return {k: _finite(v) for k, v in tree.items()}
    return tree if math.isfinite(tree) else None


def _without_folders(config: schema.Config) -> dict[str, Any]:
    """Return the config with paths cut to names: a weights file may be passed on."""
    kept = schema.as_dict(config)
    for group, field in (
        (kept["data"], "data_dir"),
        (kept["data"], "auxiliary_dir"),
        (kept["teacher"], "weights"),
        (kept, "init_weights"),
    ):
        group[field] = pathlib.Path(group[field]).name if group[field] else ""
    return kept


def _claim(workdir: pathlib.Path, config: schema.Config) -> None:
    """Write the config into the work directory, or refuse one that differs."""
    import jax

    path = workdir / CONFIG
    ours = json.loads(json.dumps(schema.as_dict(config)))
    if path.exists():
        try:
            theirs = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UsageError(
                f"{path} is not readable as JSON ({error}); use another --workdir"
            ) from error
        changed = [
            line
            for line in schema.difference(theirs, ours)
            if line.split(":")[0] not in FREE_FIELDS
        ]
        if changed:
            raise UsageError(
                f"{workdir} holds a run of another config; use another --workdir, or "
                "undo these changes (there -> now):\n  " + "\n  ".join(changed)
            )
    elif jax.process_index() == 0:
        write_text(path, json.dumps(ours, indent=1))


def _claim_data(workdir: pathlib.Path, source: Any) -> None:
    """Write down which images a run is made of, or refuse others than those.

    Batches and value maps go by the number of an image: one more or less, and they
    belong to other photographs.
    """
    import jax

    names = [pathlib.PurePath(name).name for name in source.names]
    ours = {
        "images": len(names),
        "labelled": source.n_labelled,
        "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }
    path = workdir / DATA
    if path.exists():
        theirs = json.loads(path.read_text(encoding="utf-8"))
        if theirs != ours:
            raise UsageError(
                f"{path}: this run began with {theirs['images']} images, "
                f"{theirs['labelled']} of them labelled; now there are "
                f"{ours['images']} and {ours['labelled']}, or they have other names: "
                "use another --workdir, or bring the old images back"
            )
    elif jax.process_index() == 0:
        write_text(path, json.dumps(ours))


def _summary(
    results: dict[str, dict[str, float]], workdir: pathlib.Path, minutes: float
) -> None:
    """Print the held-out scores of the stages, and keep them in `results.json`."""
    import jax

    if jax.process_index() != 0:
        return
    write_text(workdir / "results.json", json.dumps(_finite(results), indent=1))
    scored = {name: m for name, m in results.items() if m}
    if not scored:
        return
    columns = list(dict.fromkeys(k for m in scored.values() for k in m))
    print(f"Held out ({minutes:.1f} minutes in all):")
    print("  " + "network".ljust(12) + "".join(c.rjust(16) for c in columns))
    for name, metrics in scored.items():
        row = "".join(f"{metrics.get(c, float('nan')):16.3f}" for c in columns)
        print("  " + name.ljust(12) + row)
    print(f"Weights: {workdir / WEIGHTS}")


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
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = logging.getLogger("rkd_jax")
    ours.handlers[:] = [handler]
    ours.setLevel(logging.INFO)
    ours.propagate = False
    absl_logging.set_verbosity(absl_logging.WARNING)


def _define_flags() -> Any:
    from ml_collections import config_flags

    holder = config_flags.DEFINE_config_file(
        "config", None, "Experiment, e.g. configs/rkd.py:demo.", lock_config=True
    )
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


def _check_config_file(argv: Sequence[str]) -> None:
    """Refuse a `--config` that is no file, and name those beside it."""
    for argument, following in zip(argv, [*argv[1:], ""]):
        name, equals, value = argument.partition("=")
        if name in ("--config", "-config"):
            path = pathlib.Path((value if equals else following).split(":")[0])
            if not path.is_file():
                beside = sorted(p.as_posix() for p in path.parent.glob("*.py"))
                raise UsageError(
                    f"--config: no file {path}; "
                    + (f"there are {', '.join(beside)}" if beside else "check the path")
                )


def _parse_flags(argv: Sequence[str]) -> list[str]:
    """Parse the command line; end with status 2 and a plain message if it is wrong."""
    known = schema.flatten(schema.as_dict(schema.Config()))
    try:
        _check_config_file(argv)
        for argument in argv[1:]:
            field = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
            if field and field[1] not in known:
                near = difflib.get_close_matches(field[1], known, 5, 0.5)
                raise UsageError(
                    f"config.{field[1]}: no such field; "
                    + (f"did you mean {', '.join(near)}? " if near else "")
                    + "All are in rkd_jax/config/schema.py"
                )
        return flags.FLAGS(argv)
    except (flags.Error, UsageError, IndexError, KeyError, TypeError) as error:
        # A config file that raises comes as the text of its traceback.
        lines = str(error).strip().splitlines()
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


def main(argv: Sequence[str], holder: Any = None) -> int:
    """Run the experiment named by the flags; return the `exit_status`."""

    def work() -> None:
        if len(argv) > 1:
            raise UsageError(f"unknown arguments: {' '.join(argv[1:])}")
        given, config = flags.FLAGS, holder.value
        name = pathlib.Path(given["config"].config_filename.split(":")[0]).stem
        prepare_jax(given.compilation_cache_dir)
        _join_processes(given.coordinator, given.num_processes, given.process_id)
        run(config, given.workdir or pathlib.Path("runs") / name)

    return exit_status(work)


if __name__ == "__main__":
    start_again()
    HOLDER = _define_flags()
    app.run(lambda argv: sys.exit(main(argv, HOLDER)), flags_parser=_parse_flags)

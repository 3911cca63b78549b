"""What makes a work directory one run's: config, images, weights, results."""

import hashlib
import json
import logging
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from rkd_jax import config as schema
from rkd_jax import tasks, weights
from rkd_jax.data.source import Source
from rkd_jax.files.atomic import write_text
from rkd_jax.tasks import networks
from rkd_jax.training import changes
from rkd_jax.training.checkpoint import CHECKPOINTS, MANIFESTS, saved_steps
from rkd_jax.training.disk import name_file
from rkd_jax.training.report import METRICS, PICTURES

PyTree = Any
logger = logging.getLogger(__name__)
WEIGHTS, BEST = "weights.safetensors", "best.safetensors"
STUDENT = "student.safetensors"
CONFIG, DATA, RESULTS = "config.json", "data.json", "results.json"
# What a run writes over: without a config of ours beside it, it is somebody else's.
_WRITTEN = (WEIGHTS, BEST, STUDENT, DATA, RESULTS, METRICS, CHECKPOINTS, MANIFESTS)


def check(workdir: pathlib.Path, config: schema.Config, *, begun: bool = False) -> None:
    """Refuse a work directory of another config, or with files that are not a run's.

    Args:
        workdir: of the run; need not exist.
        config: of the run; it may differ as `changes.forbidden_changes` allows.
        begun: see there.

    Raises:
        ValueError: it is such a directory, or its `config.json` is damaged.
    """
    path = workdir / CONFIG
    if not os.path.lexists(path):
        _refuse_strangers(workdir)
        return
    saved, done = _read_config(path), steps_done(workdir)
    lines = changes.forbidden_changes(saved, config, done=done, begun=begun)
    if lines:
        changed = "\n  ".join(lines)
        raise ValueError(
            f"{workdir} holds a run of another config; use another --workdir, or undo "
            f"these changes (there -> now):\n  {changed}{_how_to_go_on(lines)}"
        )


def _how_to_go_on(lines: Sequence[str]) -> str:
    """Return what to do with a run of an earlier version, which cannot be undone."""
    if not any(line.endswith(changes.GONE) for line in lines):
        return ""
    return (
        "\nAn earlier version of rkd_jax began this run: finish it with that version, "
        f"or start a new one from its weights: --config.init_weights=DIR/{WEIGHTS}"
    )


def _refuse_strangers(workdir: pathlib.Path) -> None:
    found = [workdir / name for name in _WRITTEN if os.path.lexists(workdir / name)]
    found += sorted(workdir.glob(f"{PICTURES}/*_{'[0-9]' * 7}.png"))
    if found:
        raise ValueError(
            f"{found[0]}: a run would write there, but {workdir} holds no {CONFIG} of "
            "an earlier run; move the file elsewhere, or use another --workdir"
        )


def steps_done(workdir: pathlib.Path) -> int:
    """Return how many steps of a run are saved; 0 without a run.

    Of a run with its weights, but without checkpoints, these are all that its config
    asked for.

    Raises:
        ValueError: its `config.json` is damaged.
    """
    if not os.path.lexists(workdir / CONFIG):
        return 0
    steps = max(saved_steps(workdir), default=0)
    if steps or not (workdir / WEIGHTS).exists():
        return steps
    return _read_config(workdir / CONFIG)["loop"]["steps"]


def claim(workdir: pathlib.Path, config: schema.Config) -> None:
    """Write the config into a work directory; the first process does it.

    One that the directory has, and that `check` let pass, is brought up to date.

    Raises:
        OSError: it cannot be written.
    """
    path, ours = workdir / CONFIG, changes.as_json(config)
    saved = _read_config(path) if path.exists() else None
    if saved == ours:
        return
    if saved is not None and jax.process_index() == 0:
        lines = schema.difference(saved, ours)
        logger.info("%s: changed since the run began: %s", workdir, "; ".join(lines))
    _write(path, ours, indent=1)


def check_data(workdir: pathlib.Path, source: Source) -> None:
    """Refuse other images than those that a run began with.

    Batches and value maps go by the number of an image: one more or less, and they
    belong to other photographs.

    Args:
        workdir: of the run; need not exist.
        source: of `TaskModule.training_source`.

    Raises:
        ValueError: it began with other images, or its `data.json` is damaged.
    """
    path, ours = workdir / DATA, _images(source)
    if not path.exists():
        return
    theirs = _read(path)
    if theirs != ours:
        raise ValueError(
            f"{path}: this run began with {theirs.get('images')} images; now there are "
            f"{ours['images']}, or they have other names or labels: "
            "use another --workdir, or bring the old images back"
        )


def claim_data(workdir: pathlib.Path, source: Source) -> None:
    """Write down which images a run is made of, or do as `check_data`.

    Raises:
        OSError: it cannot be written.
        ValueError: as `check_data`.
    """
    check_data(workdir, source)
    if not (workdir / DATA).exists():
        _write(workdir / DATA, _images(source))


def _images(source: Source) -> dict[str, Any]:
    names = [pathlib.PurePath(name).name for name in source.names]
    grouped = [f"{group} {name}" for group, name in zip(source.groups, names)]
    return {"images": len(names), "sha256": digest(grouped)}


def digest(names: Sequence[str]) -> str:
    """Return the SHA-256 of the names of examples, in their order."""
    text = "\n".join(names).encode(errors="surrogateescape")
    return hashlib.sha256(text).hexdigest()


def save_weights(
    path: pathlib.Path,
    config: schema.Config,
    variables: PyTree,
    metrics: dict[str, float],
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a network for `register` and `evaluate`; the first process does it.

    Args:
        path: of the file.
        config: of the run, kept with it.
        variables: of the network alone (`Task.network`).
        metrics: on the held-out data.
        facts: of the trained network, added to how inputs are prepared.
    """
    if jax.process_index() != 0:
        return
    module = tasks.load(config.task.name)
    with name_file(path):
        weights.save(
            path,
            variables,
            model=config.model.name,
            options=networks.stored_options(config.model),
            preprocess={**module.preprocess(config), **(facts or {})},
            recipe={
                "config": schema.as_dict(config, public=True),
                "metrics": _finite(metrics),
            },
        )


def save_results(workdir: pathlib.Path, results: dict[str, dict[str, float]]) -> None:
    """Write the last metrics of every stage; the first process does it."""
    _write(workdir / RESULTS, _finite(results), indent=1)


def _write(path: pathlib.Path, content: Any, **form: Any) -> None:
    if jax.process_index() == 0:
        with name_file(path):
            write_text(path, json.dumps(content, **form))


def _read(path: pathlib.Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not readable as JSON ({error}); use another --workdir"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"{path}: expected an object of JSON, found {type(content).__name__}; use "
            "another --workdir"
        )
    return content


def _read_config(path: pathlib.Path) -> dict[str, Any]:
    content = _read(path)
    loop = content.get("loop")
    steps = loop.get("steps") if isinstance(loop, dict) else None
    if not isinstance(steps, int) or not isinstance(content.get("model"), dict):
        raise ValueError(
            f"{path}: not the config of a run (it has no model and loop.steps); use "
            "another --workdir"
        )
    return content


def _finite(tree: Any) -> Any:
    """Return nested dicts with None for numbers that JSON does not have."""
    if isinstance(tree, dict):
        return {k: _finite(v) for k, v in tree.items()}
    return tree if math.isfinite(tree) else None

"""What makes a work directory one run's: config, images, weights, results."""

import hashlib
import json
import math
import pathlib
from typing import Any

import jax

from rkd_jax import config as schema
from rkd_jax import tasks, weights
from rkd_jax.files import write_text

PyTree = Any
WEIGHTS, BEST = "weights.safetensors", "best.safetensors"
CONFIG, DATA, RESULTS = "config.json", "data.json", "results.json"
# What may change between a run and its continuation.
FREE_FIELDS = ("loop.log_every", "loop.keep", "data.num_threads", "data.cache_mb")


def check(workdir: pathlib.Path, config: schema.Config) -> None:
    """Refuse a work directory that holds a run of another config.

    Args:
        workdir: of the run; need not exist.
        config: of the run; what `FREE_FIELDS` names may differ.

    Raises:
        ValueError: it does, or its `config.json` is damaged.
    """
    path = workdir / CONFIG
    if not path.exists():
        return
    # As JSON gives it back: lists for tuples.
    ours = json.loads(json.dumps(schema.as_dict(config)))
    changed = [
        line
        for line in schema.difference(_read(path), ours)
        if line.split(":")[0] not in FREE_FIELDS
    ]
    if changed:
        raise ValueError(
            f"{workdir} holds a run of another config; use another --workdir, or undo "
            "these changes (there -> now):\n  " + "\n  ".join(changed)
        )


def claim(workdir: pathlib.Path, config: schema.Config) -> None:
    """Write the config into a work directory without one; the first process does it.

    Raises:
        OSError: it cannot be written.
    """
    if not (workdir / CONFIG).exists():
        _write(workdir / CONFIG, schema.as_dict(config), indent=1)


def claim_data(workdir: pathlib.Path, source: Any) -> None:
    """Write down which images a run is made of, or refuse others than those.

    Batches and value maps go by the number of an image: one more or less, and they
    belong to other photographs.

    Args:
        workdir: of the run.
        source: of `tasks.training_source`.

    Raises:
        OSError: it cannot be written.
        ValueError: it began with other images, or its `data.json` is damaged.
    """
    names = [pathlib.PurePath(name).name for name in source.names]
    ours = {
        "images": len(names),
        "labelled": source.n_labelled,
        "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }
    path = workdir / DATA
    if not path.exists():
        _write(path, ours)
        return
    theirs = _read(path)
    if theirs != ours:
        raise ValueError(
            f"{path}: this run began with {theirs.get('images')} images, "
            f"{theirs.get('labelled')} of them labelled; now there are "
            f"{ours['images']} and {ours['labelled']}, or they have other names: "
            "use another --workdir, or bring the old images back"
        )


def save_weights(
    path: pathlib.Path,
    config: schema.Config,
    variables: PyTree,
    metrics: dict[str, float],
) -> None:
    """Write a network for `register` and `evaluate`; the first process does it.

    Args:
        path: of the file.
        config: of the run, kept with it.
        variables: of the network alone (`Task.network`).
        metrics: on the held-out data.
    """
    if jax.process_index() != 0:
        return
    options = config.model.options()
    # How the run computed, not what it has learnt: a reader has its own device.
    del options["compute_dtype"]
    weights.save(
        path,
        variables,
        model=config.model.name,
        options=options,
        preprocess=tasks.preprocess(config),
        recipe={"config": _without_folders(config), "metrics": _finite(metrics)},
    )


def save_results(workdir: pathlib.Path, results: dict[str, dict[str, float]]) -> None:
    """Write the last metrics of every stage; the first process does it."""
    _write(workdir / RESULTS, _finite(results), indent=1)


def _write(path: pathlib.Path, content: Any, **form: Any) -> None:
    if jax.process_index() == 0:
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

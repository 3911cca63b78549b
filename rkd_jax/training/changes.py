"""What may change in a config between a run and its continuation.

Fields that are marked `free` may: nothing that was learned depends on reporting,
scoring, reading and saving, and the names of the images are compared by themselves
(`run_folder.claim_data`). Fields that are marked `earlier` are lengths of runs whose
weights later runs use.
"""

import json
from collections.abc import Mapping
from typing import Any

from rkd_jax import config as schema
from rkd_jax.weights import packaged

GONE = "(this version has no such field)"


def as_json(config: schema.Config) -> dict[str, Any]:
    """Return a config as `config.json` gives it back: lists for tuples."""
    return json.loads(json.dumps(schema.as_dict(config)))


def forbidden_changes(
    saved: Mapping[str, Any], config: schema.Config, *, done: int, begun: bool
) -> list[str]:
    """Return one line a change of config that a run cannot go on with.

    A field that the version of the saved config did not have is equal to its default
    of today, and an old name of packaged weights to their name of today. A run may get
    longer, and shorter down to the steps that are done, unless its learning rate
    depends on the length.

    Args:
        saved: of the run, as JSON.
        config: wanted now.
        done: steps of the run that are saved.
        begun: a stage that uses the weights of an earlier stage has saved steps.

    >>> config = schema.Config(task=schema.TaskConfig())
    >>> saved = as_json(config)
    >>> config.loop.steps, config.optim.lr = 20_000, 0.5
    >>> forbidden_changes(saved, config, done=10_000, begun=True)
    ['optim.lr: 0.0001 -> 0.5']
    """
    theirs, ours = (schema.flatten_dict(d) for d in (dict(saved), as_json(config)))
    default = schema.flatten_dict(as_json(schema.Config(task=type(config.task)())))
    free = set(schema.marked(config, "free"))
    files = set(schema.marked(config, "path"))
    lines = []
    for field in sorted(theirs.keys() | ours.keys()):
        old = theirs.get(field, default.get(field))
        if field in files:
            old = packaged.RENAMED.get(old, old)
        if field not in ours:
            lines.append(f"{field}: {old!r} -> {GONE}")
        elif old != ours[field] and field not in free:
            why = _why_not(field, old, ours[field], config, done=done, begun=begun)
            if why is not None:
                lines.append(f"{field}: {old!r} -> {ours[field]!r}{why}")
    return lines


def _why_not(
    field: str, old: Any, new: Any, config: schema.Config, *, done: int, begun: bool
) -> str | None:
    """Return what to add to the line of a forbidden change; None: it is allowed."""
    if field in schema.marked(config, "earlier"):
        return " (later stages have begun with its weights)" if begun else None
    if field != "loop.steps" or not done:
        return None if field == "loop.steps" else ""
    if new < done:
        return f" ({done} steps are done)"
    if config.optim.schedule != "constant":
        return (
            f" (the {config.optim.schedule} learning rate of the {done} steps that are "
            f"done was made for {old}; a new run can start from its weights with "
            "config.init_weights)"
        )
    return None

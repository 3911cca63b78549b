"""What `python -m rkd_jax.classify` does: images, their table, their explanations."""

from __future__ import annotations

import contextlib
import functools
import json
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rkd_jax.classification import outputs
from rkd_jax.classification.runner import Recipe, Runner, failed, name_of, picture_of
from rkd_jax.files import own_files
from rkd_jax.files.folder_names import ignores_case, same_up_to_case
from rkd_jax.images.photograph_lists import Photograph
from rkd_jax.runtime.cluster_run import WorkerLostError
from rkd_jax.runtime.command import BAD_INPUT, say, shown, stop_status
from rkd_jax.runtime.many import bar_aside, progress, saving, say_note
from rkd_jax.runtime.runners import work_on
from rkd_jax.runtime.workers import Workers

OK = 0


def classify_all(
    recipe: Recipe,
    photographs: Sequence[Photograph],
    out: pathlib.Path,
    *,
    workers: Workers = Workers(),  # noqa: B008
    as_json: bool = False,
) -> int:
    """Classify the images that an earlier run has not, and print each result.

    Args:
        recipe: how.
        photographs: one without a name, or many.
        out: the table, a file that ends in .csv.
        workers: who does it.
        as_json: print each result as a line of JSON.

    Returns:
        The exit status: 0; 2 if an image cannot be read.

    Raises:
        OSError: a file of others is in the way, or the workers cannot be reached.
        ValueError: the weights cannot be used.
    """
    if workers.flag and not photographs[0].name:
        raise ValueError(
            f"{workers.flag}: there is one image only; give a folder or a CSV"
        )
    _claim(recipe, photographs, out)
    runner = Runner(recipe)
    names = outputs.columns(runner.classifier.settings.classes, runner.facts)
    rows = _finished(recipe, photographs, runner, outputs.read_table(out, names))
    left = [one for one in photographs if name_of(one) not in rows]
    bad, stop = False, None

    def save() -> None:
        order = map(name_of, photographs)
        outputs.write_table(out, [rows[n] for n in order if n in rows], names)

    with contextlib.ExitStack() as stack:
        changed = stack.enter_context(saving(save))
        for row in rows.values():
            changed()
            _say(row, as_json=as_json)
        found = _results(runner, recipe, left, out, workers)
        found = stack.enter_context(contextlib.closing(found))
        try:
            for row in progress(found, "image", len(left)):
                rows[row["name"]] = row
                bad |= row["status"] == outputs.ERROR
                changed()
                _say(row, as_json=as_json)
        except KeyboardInterrupt as caught:
            stop = caught
    if stop is not None:
        missing = sum(name_of(one) not in rows for one in photographs)
        say(f"stopped before {missing} images; start again to go on", sys.stderr)
        return stop_status(stop)
    return BAD_INPUT if bad else OK


def _claim(
    recipe: Recipe, photographs: Sequence[Photograph], out: pathlib.Path
) -> None:
    """Refuse files where results would replace those of others, or one another."""
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise ValueError(f"{out}: --out must be a file whose name ends in .csv")
    inputs = own_files.Inputs(
        [*(one.path for one in photographs), pathlib.Path(recipe.weights)]
    )
    written = [out]
    if (folder := recipe.explain) is not None:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder}: --explain must be a folder, found a file")
        both = same_up_to_case(one.name for one in photographs)
        if both and ignores_case(folder):
            raise ValueError(
                f"{folder}: images {both[0]!r} and {both[1]!r} would have one picture, "
                "as this file system ignores case; rename one"
            )
        written += [picture_of(folder, one) for one in photographs]
    own_files.claim(written, inputs=inputs)


def _finished(
    recipe: Recipe,
    photographs: Sequence[Photograph],
    runner: Runner,
    known: Mapping[str, dict[str, Any]],
) -> dict[str, dict[str, Any]]:
    """Return the rows of an earlier run that would be the same now, by name."""
    rows = {}
    for one in photographs:
        row = known.get(name_of(one))
        if row is None or row["status"] != outputs.DONE:
            continue
        if any(row[name] != str(value) for name, value in runner.facts.items()):
            continue
        if recipe.explain is not None:
            picture = picture_of(recipe.explain, one)
            if not picture.is_file():
                continue
            if own_files.digest(picture) != row[outputs.PICTURE]:
                continue
        if one.path.is_file() and own_files.digest(one.path) == row["sha256"]:
            rows[name_of(one)] = row | {"path": str(one.path)}
    return rows


def _results(
    runner: Runner,
    recipe: Recipe,
    photographs: Sequence[Photograph],
    out: pathlib.Path,
    workers: Workers,
) -> Iterator[dict[str, Any]]:
    """Yield the row of each image, in order."""
    if not photographs:
        return
    all_found = work_on(
        photographs,
        Runner.work,
        runner,
        functools.partial(Runner, recipe),
        workers=workers,
        out=recipe.explain or out.parent,
        note=say_note,
    )
    with contextlib.closing(all_found):
        for one, found in all_found:
            if isinstance(found, WorkerLostError):
                found = failed(one, str(found))
            yield found


def _say(row: Mapping[str, Any], *, as_json: bool) -> None:
    """Print the line of an image."""
    with bar_aside():
        if row["status"] == outputs.ERROR:
            say(f"error: {row['reason']}", sys.stderr)
        elif as_json:
            say(json.dumps(outputs.json_of(row)))
        else:
            far, more = row["distance_quantile"], ""
            if far:
                more = f", farther than {float(far):.0%} of the validation images"
            say(
                f"{shown(row['path'])}: {shown(row['predicted'])}, probability "
                f"{float(row['probability']):.2f}{more}"
            )

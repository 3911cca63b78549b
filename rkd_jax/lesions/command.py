"""What `python -m rkd_jax.lesions` does: photographs, their files, their table."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import sys
from collections.abc import Iterator, Sequence

from rkd_jax.files import own_files
from rkd_jax.files.csv_text import csv_text
from rkd_jax.files.folder_names import ignores_case, same_up_to_case
from rkd_jax.images.photograph_lists import Photograph
from rkd_jax.lesions import outputs
from rkd_jax.lesions.runner import Recipe, Result, Runner
from rkd_jax.runtime.cluster_run import WorkerLostError
from rkd_jax.runtime.command import BAD_INPUT, say, shown, stop_status
from rkd_jax.runtime.many import bar_aside, progress, saving, say_note
from rkd_jax.runtime.runners import work_on
from rkd_jax.runtime.workers import Workers

OK, REFUSED = 0, 3


def find_all(
    recipe: Recipe,
    photographs: Sequence[Photograph],
    out: pathlib.Path,
    *,
    lesion: str | None = None,
    workers: Workers = Workers(),  # noqa: B008
    as_json: bool = False,
) -> int:
    """Find the lesions of photographs that are not finished, and print each result.

    Args:
        recipe: how.
        photographs: one without a name, whose files go into `out`; or many, each with a
            folder of its name there.
        out: folder.
        lesion: that the weights must be for; None takes any.
        workers: who does it.
        as_json: print each summary as a line of JSON.

    Returns:
        The exit status: 0; 3 if an image is no photograph of a fundus; 2 if one cannot
        be read.

    Raises:
        OSError: a file of others is in the way, or the workers cannot be reached.
        ValueError: the weights cannot be used.
    """
    alone = not photographs[0].name
    if alone and workers.flag:
        raise ValueError(
            f"{workers.flag}: there is one photograph only; give a folder or a CSV"
        )
    _claim(recipe, photographs, out)
    runner = Runner(recipe, out)
    known = runner.detector.settings.lesion
    if lesion is not None and known != lesion:
        raise ValueError(
            f"{recipe.weights}: weights for {known}, not for --lesion {lesion}; drop "
            "one of the two"
        )
    results: list[Result] = []
    stop = None

    def save() -> None:
        rows = [result.row() for result in results]
        own_files.write_text(out / outputs.TABLE, csv_text(rows))

    with contextlib.ExitStack() as stack:
        changed = None if alone else stack.enter_context(saving(save))
        found = _results(runner, recipe, photographs, out, workers)
        found = stack.enter_context(contextlib.closing(found))
        try:
            for result in progress(found, "photograph", len(photographs)):
                results.append(result)
                if changed is not None:
                    changed()
                _say(result, as_json=as_json)
        except KeyboardInterrupt as caught:
            stop = caught
    if stop is not None:
        left = len(photographs) - len(results)
        say(f"stopped before {left} photographs; start again to go on", sys.stderr)
        return stop_status(stop)
    if any(result.summary is None for result in results):
        return BAD_INPUT
    refused = any((result.summary or {})["status"] == "refused" for result in results)
    return REFUSED if refused else OK


def _claim(
    recipe: Recipe, photographs: Sequence[Photograph], out: pathlib.Path
) -> None:
    """Refuse a folder where results would replace files of others, or one another."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: --out must be a folder, found a file")
    both = same_up_to_case(one.name for one in photographs)
    if both and ignores_case(out):
        raise ValueError(
            f"{out}: photographs {both[0]!r} and {both[1]!r} would have one folder, as "
            "this file system ignores case; rename one"
        )
    inputs = own_files.Inputs(
        [*(one.path for one in photographs), pathlib.Path(recipe.weights)]
    )
    if photographs[0].name:
        own_files.claim([out / outputs.TABLE], inputs=inputs)
    names = outputs.names(as_float=recipe.as_float)
    for one in photographs:
        folder = out / one.name
        if os.path.lexists(folder) and not folder.is_dir():
            raise FileExistsError(
                f"{folder}: a file, where the results of a photograph need a folder; "
                "choose another --out, or move the file away"
            )
        own_files.claim(
            [folder / name for name in names],
            removable=[folder / name for name in outputs.ALL],
            inputs=inputs,
        )


def _results(
    runner: Runner,
    recipe: Recipe,
    photographs: Sequence[Photograph],
    out: pathlib.Path,
    workers: Workers,
) -> Iterator[Result]:
    """Yield what became of each photograph, in order."""
    all_found = work_on(
        photographs,
        Runner.work,
        runner,
        functools.partial(Runner, recipe, out),
        workers=workers,
        out=out,
        note=say_note,
    )
    with contextlib.closing(all_found):
        for one, found in all_found:
            if isinstance(found, WorkerLostError):
                found = Result(one, None, str(found))
            yield found


def _say(result: Result, *, as_json: bool) -> None:
    """Print the line of a photograph."""
    summary, name = result.summary, shown(result.photograph.path)
    with bar_aside():
        if summary is None:
            say(f"error: {result.error}", sys.stderr)
        elif as_json:
            say(json.dumps(summary))
        elif summary["status"] == "refused":
            say(f"{name}: no photograph of a fundus: {summary['reason']}")
        else:
            say(
                f"{name}: {summary['count']} {summary['lesion']}, "
                f"{summary['area_px']} pixels"
            )
            if summary.get("note"):
                say(f"note: {name}: {summary['note']}", sys.stderr)

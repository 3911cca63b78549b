"""Register all pairs of a list: in this process, or by workers."""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rkd_jax.files import own_files
from rkd_jax.files.json_files import json_object
from rkd_jax.registration.files.pair_names import CAMERA
from rkd_jax.registration.files.pairs import Pair
from rkd_jax.registration.fitting.calibrate import combine
from rkd_jax.registration.fitting.curvature import Curvature
from rkd_jax.registration.many import Use, share_a_photograph, uses
from rkd_jax.registration.recipe import Recipe
from rkd_jax.registration.runner import Runner, digests_of
from rkd_jax.registration.table import Result
from rkd_jax.runtime.cluster_run import Cluster, WorkerLostError
from rkd_jax.runtime.many import progress
from rkd_jax.runtime.runners import serving
from rkd_jax.runtime.workers import Workers


def register_all(
    recipe: Recipe,
    pairs: Sequence[Pair],
    out: pathlib.Path,
    *,
    workers: Workers = Workers(),  # noqa: B008
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Result]:
    """Register pairs that are not finished, and yield what became of each, in order.

    Whatever goes wrong with a pair is its error; the others go on. Results do not
    depend on the workers.

    Args:
        recipe: how.
        pairs: which; each gets a folder of its name in `out`.
        out: folder.
        workers: who does it.
        note: gets a line about what a user may want to know.

    Raises:
        OSError: the folder cannot be written, or the workers cannot be reached.
        ValueError: the weights cannot be used, or a worker has others.
    """
    make = functools.partial(Runner, recipe, out)
    runner = make()
    with serving(
        runner, make, workers=workers, out=out, most=len(pairs), note=note
    ) as cluster:
        curvature = None
        if recipe.one_camera:
            curvature = _camera(cluster, runner.facts, pairs, out)
        for use, found in cluster.run(
            uses(pairs),
            functools.partial(_register, curvature),
            together=share_a_photograph,
            count=len(pairs),
        ):
            if isinstance(found, WorkerLostError):
                found = Result(use.pair, None, str(found))
            yield found


def _register(curvature: Curvature | None, runner: Runner, use: Use) -> Result:
    return runner.register(use, curvature)


def _estimate(runner: Runner, use: Use) -> tuple[float, float] | None:
    # Another round follows: all photographs are needed again.
    return runner.estimate(use._replace(again=(True, True)))


def _camera(
    cluster: Cluster,
    settings: dict[str, Any],
    pairs: Sequence[Pair],
    out: pathlib.Path,
) -> Curvature:
    """Return the curvature of the camera that took all pairs, from their matches.

    `camera.json` keeps it, for exactly these photographs and settings.
    """
    sha256 = {pair.name: digests_of(pair) for pair in pairs}
    record = {"settings": settings, "sha256": sha256}
    known = json_object(out / CAMERA)
    wanted = json.loads(json.dumps(record))
    if all(known.get(key) == value for key, value in wanted.items()):
        return Curvature(**known["curvature"])
    found = cluster.run(
        uses(pairs), _estimate, together=share_a_photograph, count=len(pairs)
    )
    estimates = [k for _, k in progress(found, "pair", len(pairs))]
    curvature = combine([k for k in estimates if isinstance(k, tuple)])
    content: dict[str, Any] = {"curvature": dataclasses.asdict(curvature), **record}
    own_files.write_text(out / CAMERA, json.dumps(content, indent=2) + "\n")
    return curvature

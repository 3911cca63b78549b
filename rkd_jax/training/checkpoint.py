"""Checkpoints that resume a run exactly: Orbax's files, and a manifest of them.

A checkpoint counts once `manifests/<step>.json` exists, which holds the SHA-256 of each
of its files; one without it was left half-written by a killed process, and is removed.
Orbax's own commit says that all files were written; the digests say that they still are
what was written, which a damaged disk or an interrupted copy of the folder changes.
"""

import hashlib
import json
import logging
import pathlib
import shutil
from typing import Any

import jax
import numpy as np

from rkd_jax.files.atomic import write_text
from rkd_jax.training.disk import reason, report_once

PyTree = Any
logger = logging.getLogger(__name__)
CHECKPOINTS, MANIFESTS = "checkpoints", "manifests"


class CheckpointError(ValueError):
    """A checkpoint is damaged or belongs to another network."""


def saved_steps(workdir: pathlib.Path) -> list[int]:
    """Return the steps of the finished checkpoints of a work directory, in order."""
    stems = [path.stem for path in (workdir / MANIFESTS).glob("*.json")]
    folders = [workdir / CHECKPOINTS / stem for stem in stems if stem.isdecimal()]
    return sorted(int(folder.name) for folder in folders if folder.is_dir())


class Checkpoints:
    """The checkpoints of one work directory.

    Args:
        workdir: made if absent; holds `checkpoints/` and `manifests/`.
        keep: how many are kept; two at least, as the newest may be left without its
            manifest by a process killed while saving.
    """

    def __init__(self, workdir: str | pathlib.Path, *, keep: int = 2) -> None:
        import orbax.checkpoint as ocp

        self._ocp = ocp
        self._root = pathlib.Path(workdir).absolute() / CHECKPOINTS
        self._manifests = self._root.parent / MANIFESTS
        if jax.process_index() == 0:
            self._manifests.mkdir(parents=True, exist_ok=True)
            self._root.mkdir(exist_ok=True)
            self._drop_unfinished()
        _barrier("checkpoints_ready")
        self._manager = ocp.CheckpointManager(
            self._root,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=max(keep, 2), enable_async_checkpointing=False, create=False
            ),
        )

    def latest(self) -> int | None:
        """Return the step of the newest finished checkpoint, or None."""
        return self._manager.latest_step()

    def save(self, step: int, state: PyTree, data: dict[str, Any]) -> None:
        """Write a checkpoint and then its manifest.

        Args:
            step: steps done.
            state: pytree of NumPy arrays, equal on all processes.
            data: JSON-able position of the data iterator.

        Raises:
            OSError: it cannot be written: the disk is full, for example.
        """
        if step in self._manager.all_steps():
            return
        try:
            with report_once():
                self._write(step, state, data)
        except (OSError, ValueError, RuntimeError) as error:
            left = [saved for saved in saved_steps(self._root.parent) if saved != step]
            start = f"step {left[-1]}" if left else "its beginning"
            raise OSError(
                f"the checkpoint of step {step} cannot be written in {self._root}: "
                f"{reason(error)}; the same command then goes on from {start}"
            ) from error
        _barrier(f"checkpoint_{step}")

    def _write(self, step: int, state: PyTree, data: dict[str, Any]) -> None:
        ocp = self._ocp
        leaves = {f"{i:05d}": x for i, x in enumerate(jax.tree.leaves(state))}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(leaves), data=ocp.args.JsonSave(data)
            ),
        )
        self._manager.wait_until_finished()
        if jax.process_index() == 0:
            manifest = {
                "files": _digests(self._root / str(step)),
                "arrays": _shapes(leaves),
            }
            text = json.dumps(manifest, indent=1, sort_keys=True)
            write_text(self._manifests / f"{step}.json", text)
            kept = {str(s) for s in self._manager.all_steps()}
            for path in self._manifests.glob("*.json"):
                if path.stem not in kept:
                    path.unlink()

    def restore(self, step: int, like: PyTree) -> tuple[PyTree, dict[str, Any]]:
        """Return `(state, data)` of a checkpoint, after checking its manifest.

        Args:
            step: one of the finished ones.
            like: pytree with the arrays' shapes and dtypes.

        Raises:
            CheckpointError: a file is missing or altered, or the shapes are of another
                network; the message names the first such file or array.
        """
        ocp = self._ocp
        found = self._verify(step)
        like_leaves, structure = jax.tree.flatten(like)
        abstract = {
            f"{i:05d}": np.zeros(x.shape, x.dtype) for i, x in enumerate(like_leaves)
        }
        wanted = _shapes(abstract)
        if found != wanted:
            raise CheckpointError(
                f"checkpoint {self._root / str(step)} holds {len(found)} arrays that "
                f"do not fit the {len(wanted)} of this run; start in another --workdir"
            )
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract), data=ocp.args.JsonRestore()
            ),
        )
        leaves = [np.asarray(restored["state"][k]) for k in sorted(abstract)]
        return jax.tree.unflatten(structure, leaves), restored["data"]

    def close(self) -> None:
        """Release the manager's threads."""
        self._manager.close()

    def _drop_unfinished(self) -> None:
        """Remove checkpoints without a manifest; refuse files of other kinds."""
        for path in self._root.iterdir():
            if path.name.startswith("."):
                continue
            # A step, or a step with Orbax's temporary ending.
            if not (path.is_dir() and path.name.split(".")[0].isdigit()):
                raise CheckpointError(
                    f"{path} is no checkpoint of a run; move it elsewhere, or use "
                    "another --workdir"
                )
            if not (self._manifests / f"{path.name}.json").exists():
                logger.warning("removing the unfinished checkpoint %s", path.name)
                shutil.rmtree(path)

    def _verify(self, step: int) -> dict[str, list[Any]]:
        """Compare the files with the manifest; return its shapes of arrays."""
        folder = self._root / str(step)
        manifest = self._manifests / f"{step}.json"
        try:
            written = json.loads(manifest.read_text(encoding="utf-8"))
            wanted, arrays = written["files"], written["arrays"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"the manifest {manifest} cannot be read ({error}); remove {folder} to "
                "go on from an older checkpoint"
            ) from error
        found = _digests(folder)
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                kind = "missing" if name not in found else "not as it was saved"
                raise CheckpointError(
                    f"checkpoint file {folder / name} is {kind} (SHA-256 differs from "
                    f"{manifest}); remove {folder} and {manifest} to go on from an "
                    "older checkpoint"
                )
        return arrays


def _shapes(leaves: dict[str, np.ndarray]) -> dict[str, list[Any]]:
    return {k: [list(x.shape), str(x.dtype)] for k, x in leaves.items()}


def _digests(folder: pathlib.Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in files
    }


def _barrier(name: str) -> None:
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(name)

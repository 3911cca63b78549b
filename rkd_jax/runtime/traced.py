"""Keep traced programs between runs, beside the compiled ones of JAX's own cache.

JAX finds a compiled program by its traced form, which costs half a second of Python for
a network, and the import of Flax. `jax.export` stores that form in a file; the next
process reads it and goes straight to the compiled program.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import jax

from rkd_jax.files import atomic

logger = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def kept_program(
    make: Callable[[], Callable[..., Any]], arguments: tuple[Any, ...], facts: Any
) -> Callable[..., Any]:
    """Return a compiled function, traced by an earlier process or in this one.

    Traced programs are kept in JAX's compilation cache folder
    (`rkd_jax.keep_compiled`), by the code of the package, the versions of JAX, the
    device, the shapes of the arguments and the facts. Without such a folder, or
    without the package flatbuffers, the function is compiled as by `jax.jit`.

    Args:
        make: returns the function, which maps arrays to a tuple of arrays. It is called
            only where the function must be traced.
        arguments: what it will be called with.
        facts: all else that the traced program depends on, JSON-like.
    """
    folder = _folder()
    if folder is None:
        return jax.jit(make())
    from jax import export

    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arguments)
    path = folder / f"rkd_jax-traced-{_key(shapes, facts)}"
    stored = _read(path)
    if stored is not None:
        return jax.jit(export.deserialize(stored).call)
    function = jax.jit(make())
    try:
        exported = export.export(function)(*shapes)
        stored = exported.serialize()
    except (ValueError, NotImplementedError) as error:
        logger.info("a program is not kept: %s", error)  # a kernel without a guarantee
        return function
    try:
        atomic.write_bytes(path, hashlib.sha256(stored).digest() + stored)
    except OSError as error:
        logger.info("a program is not kept: %s", error)
    # The same form as in later processes: they find what this one compiles.
    return jax.jit(exported.call)


def _folder() -> pathlib.Path | None:
    """Return where programs are kept; None if they cannot be."""
    folder = jax.config.jax_compilation_cache_dir
    remote = folder and "://" in folder
    if not folder or remote or not importlib.util.find_spec("flatbuffers"):
        return None
    return pathlib.Path(folder)


def _key(shapes: Any, facts: Any) -> str:
    """Return a digest of all that a traced program depends on."""
    device = jax.devices()[0]
    known = [
        _code_digest(),
        [jax.__version__, jax.lib.__version__],
        [device.platform, device.device_kind],
        [jax.config.jax_enable_x64, str(jax.config.jax_default_matmul_precision)],
        str(jax.tree.structure(shapes)),
        [[str(leaf.dtype), *leaf.shape] for leaf in jax.tree.leaves(shapes)],
        facts,
    ]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


@functools.cache
def _code_digest() -> str:
    """Return the digest of the package's own code."""
    digest = hashlib.sha256()
    package = pathlib.Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        code = path.read_bytes()
        digest.update(f"{path.relative_to(package)} {len(code)}\n".encode() + code)
    return digest.hexdigest()


def _read(path: pathlib.Path) -> bytearray | None:
    """Return a stored program; None if there is none, or a damaged one."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    stored = data[_DIGEST_BYTES:]
    whole = hashlib.sha256(stored).digest() == data[:_DIGEST_BYTES]
    return bytearray(stored) if whole else None

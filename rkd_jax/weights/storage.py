"""Weight files: safetensors whose metadata names model, options and recipe."""

import dataclasses
import functools
import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy

from rkd_jax.files import atomic
from rkd_jax.weights import packaged
from rkd_jax.weights.foreign import CONVERTER, advise, list_names

FORMAT = "rkd_jax.weights.1"
STORAGE = ("float32", "float16")
DIGEST = "sha256"  # metadata field: of all else in the file; files without are taken


@dataclasses.dataclass(frozen=True)
class Weights:
    """A weight file in memory.

    Attributes:
        model: Name for `rkd_jax.models.build`.
        options: Options for it.
        variables: `{"params": ...}` of float32 NumPy arrays for `module.apply`.
        preprocess: How images are prepared: "channel", "size", "descriptor_grid".
        recipe: Where the weights come from.
        metadata: The header of the file as text.
    """

    model: str
    options: dict[str, Any]
    variables: dict[str, Any]
    preprocess: dict[str, Any]
    recipe: dict[str, Any]
    metadata: dict[str, str]

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of model, options, preparation and parameters, however stored."""
        facts = {"model": self.model}
        for name in ("options", "preprocess"):
            facts[name] = json.dumps(getattr(self, name), sort_keys=True)
        tensors = {k: np.asarray(v) for k, v in _flatten(self.variables).items()}
        return _digest(facts, tensors)


def expected_shapes(model: str, options: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every parameter of a model, "/" between levels.

    >>> expected_shapes("superretina", {})["params/stage1/conv_a/bias"]
    (64,)
    """
    from rkd_jax import models  # brings Flax, which reading a file does not need

    module = models.build(model, **options)
    images = jnp.zeros(module.example_shape(64), jnp.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    return {name: leaf.shape for name, leaf in _flatten(shapes).items()}


def check_tensors(
    shapes: dict[str, tuple[int, ...]],
    expected: dict[str, tuple[int, ...]],
    subject: str,
) -> None:
    """Raise one ValueError that lists unknown, missing and misshapen names."""
    unknown = sorted(set(shapes) - set(expected))
    missing = sorted(set(expected) - set(shapes))
    misshapen = [
        f"{name} (is {tuple(shapes[name])}, expected {tuple(expected[name])})"
        for name in sorted(set(shapes) & set(expected))
        if tuple(shapes[name]) != tuple(expected[name])
    ]
    problems = [
        f"{kind}: {list_names(names)}"
        for kind, names in (
            ("unknown", unknown),
            ("missing", missing),
            ("misshapen", misshapen),
        )
        if names
    ]
    if problems:
        raise ValueError(f"{subject}: {'; '.join(problems)}")


def check_finite(tensors: Mapping[str, np.ndarray], subject: str) -> None:
    """Raise one ValueError that lists the arrays with NaN or infinite values.

    >>> check_finite({"a": np.zeros(3), "b": np.array([1])}, "model.pth")
    """
    broken = sorted(k for k, v in tensors.items() if not np.isfinite(v).all())
    if broken:
        raise ValueError(
            f"{subject}: NaN or infinite values in {list_names(broken)}; a network "
            "with them answers nothing: take weights from before training diverged"
        )


def save(
    path: str | os.PathLike[str],
    variables: dict[str, Any],
    *,
    model: str,
    options: dict[str, Any],
    preprocess: dict[str, Any] | None = None,
    recipe: dict[str, Any] | None = None,
    dtype: str = "float32",
) -> None:
    """Write a weight file; a half-written file never bears the name `path`.

    Args:
        path: File to write; its folder is made.
        variables: `{"params": ...}` of the model.
        model: Name known to `rkd_jax.models.build`.
        options: Options given to `build`.
        preprocess: JSON-like facts about the preparation of images.
        recipe: JSON-like facts about the origin of the weights.
        dtype: Storage, "float32" or "float16" (half the size, about 3 digits).

    Raises:
        ValueError: Variables do not fit the model, are not finite or too large for
            float16, or `dtype` is another.
        OSError: The file cannot be written, `path` is a folder for example.
    """
    if dtype not in STORAGE:
        raise ValueError(f"dtype is {dtype!r}; expected one of {list(STORAGE)}")
    tensors = {k: np.asarray(v, np.float32) for k, v in _flatten(variables).items()}
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    check_tensors(shapes, expected_shapes(model, options), f"variables of {model}")
    check_finite(tensors, f"variables of {model}")
    if dtype == "float16":
        limit = np.finfo(np.float16).max
        large = [k for k, v in tensors.items() if np.any(np.abs(v) > limit)]
        if large:
            raise ValueError(f"{', '.join(large)}: too large for float16")
    tensors = {k: np.array(v, dtype, order="C") for k, v in tensors.items()}
    metadata = {
        "format": FORMAT,
        "model": model,
        "options": json.dumps(options, sort_keys=True),
        "preprocess": json.dumps(preprocess or {}, sort_keys=True),
        "recipe": json.dumps(recipe or {}, sort_keys=True),
        "parameters": str(sum(math.prod(shape) for shape in shapes.values())),
    }
    metadata[DIGEST] = _digest(metadata, tensors)
    atomic.write_bytes(path, safetensors.numpy.save(tensors, metadata))


def find(name: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of a weight file.

    Args:
        name: A file, or the name of one that comes with the package ("small"); None
            takes the default (`packaged.DEFAULT`).

    Raises:
        FileNotFoundError: There is none, or it has another name now; the message lists
            the names there are.

    >>> find("small").name
    'small.safetensors'
    """
    name = packaged.DEFAULT if name is None else os.fspath(name)
    path = Path(name)
    if path.is_file():
        return path
    named = packaged.FOLDER / f"{name}.safetensors"
    if path.name == name and named.is_file():
        return named
    names = [*packaged.names(), *packaged.LESIONS, *packaged.CLASSIFIERS]
    what = "a folder, no weight file" if path.is_dir() else "no such weight file"
    if name in packaged.RENAMED:
        what = f"these weights are called {packaged.RENAMED[name]} now"
    raise FileNotFoundError(
        f"{name}: {what}; with the package come the names "
        f"{', '.join(names)}; others are made by "
        f"`python -m rkd_jax.train` or `{CONVERTER}`"
    )


def load(
    path: str | os.PathLike[str], *, model: str | None = None, check_shapes: bool = True
) -> Weights:
    """Read a weight file and check it against the model it names.

    Args:
        path: File written by `save`.
        model: Name of the model wanted; None takes any.
        check_shapes: Compare names and shapes of the parameters with those of the
            model, which takes half a second. False relies on the SHA-256 in the file,
            which `save` wrote after the same comparison; a file without one is always
            compared.

    Returns:
        The weights, in float32 whatever the storage.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a weight file, truncated or corrupt, of another model, or
            with unknown, missing, misshapen or non-finite parameters (all listed).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weight file")
    metadata, tensors = _read(path)
    if metadata.get("format") != FORMAT:
        raise ValueError(
            f"{path}: format is {metadata.get('format')!r}, expected {FORMAT!r}; "
            f"convert foreign weights with `{CONVERTER}`"
        )
    name = metadata.get("model", "")
    if model is not None and name != model:
        raise ValueError(f"{path}: weights of model {name!r}, expected {model!r}")
    options, preprocess, recipe = (
        _json_field(path, metadata, key) for key in ("options", "preprocess", "recipe")
    )
    digest = metadata.get(DIGEST, "")
    if check_shapes or not digest:
        _check_model(path, name, options, tensors)
    if digest not in ("", _digest(metadata, tensors)):
        raise ValueError(
            f"{path}: damaged or edited (its SHA-256 is not the one it was saved "
            "with); copy it again"
        )
    check_finite(tensors, f"{path}: weights of {name}")
    variables: dict[str, Any] = {}
    for key, tensor in tensors.items():
        *parents, leaf = key.split("/")
        level = variables
        for parent in parents:
            level = level.setdefault(parent, {})
        level[leaf] = tensor.astype(np.float32)
    return Weights(name, options, variables, preprocess, recipe, metadata)


def _check_model(
    path: str | os.PathLike[str],
    name: str,
    options: dict[str, Any],
    tensors: dict[str, Any],
) -> None:
    """Raise one ValueError unless the parameters of a file are those of its model."""
    try:
        expected = expected_shapes(name, options)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    check_tensors(shapes, expected, f"{path}: weights of {name}")


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Return whether a file says that it is a weight file of rkd_jax.

    >>> is_ours(find("small"))
    True
    """
    return _header(path).get("format") == FORMAT


def model_of(path: str | os.PathLike[str]) -> str:
    """Return the model that a weight file names; empty if it is no such file.

    >>> model_of(find("small"))
    'superretina'
    """
    header = _header(path)
    return header.get("model", "") if header.get("format") == FORMAT else ""


def _header(path: str | os.PathLike[str]) -> dict[str, str]:
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (OSError, safetensors.SafetensorError):
        return {}


def _flatten(tree: Any) -> dict[str, Any]:
    """Return the leaves of a nested dict by their names joined with "/"."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(str(key.key) for key in path): leaf for path, leaf in leaves}


def _read(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Return metadata and tensors of a safetensors file."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, tensors
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:
        plain = f"not a complete safetensors file ({error}); copy it again"
        raise ValueError(f"{path}: {advise(path) or plain}") from None


def _digest(metadata: dict[str, str], tensors: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of metadata (but the digest itself) and tensors."""
    facts = {key: value for key, value in metadata.items() if key != DIGEST}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _json_field(path: Path, metadata: dict[str, str], key: str) -> dict[str, Any]:
    """Return a metadata field that holds a JSON object."""
    try:
        value = json.loads(metadata.get(key, "{}"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: metadata {key!r} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: metadata {key!r} is {value!r}, expected an object")
    return value

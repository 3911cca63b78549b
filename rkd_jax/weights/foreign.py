"""Weight files of other libraries: what they are, and the state dicts of PyTorch."""

import os
import pickle
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONVERTER = "python -m rkd_jax convert-weights"
# Parts of names that wrappers add: torch.compile, FSDP, activation checkpointing.
_WRAPPERS = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
# Where the state dict of the authors' files, of Lightning's and of its own lies.
_USUAL = ("", "net", "state_dict")
_PYTORCH = "a PyTorch file"
_HEADS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it"),
    (b"GGUF", "a GGUF file"),
    (b"version https://git-lfs", "a pointer of Git LFS (`git lfs pull` gets the file)"),
    (b"<!DOCTYPE", "a web page, not the file that it links to"),
    (b"<html", "a web page, not the file that it links to"),
)
_SUFFIXES = {
    ".onnx": "an ONNX file",
    ".tflite": "a TensorFlow Lite file",
    ".pb": "a TensorFlow file",
    **dict.fromkeys((".pth", ".pt", ".ckpt"), _PYTORCH),
}


def describe(path: str | os.PathLike[str]) -> str:
    """Return what a file is that is no safetensors file; "" where that is not known."""
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PK"):
        return _archive(path)
    # A brace there: a cut file of safetensors, whose length begins like a pickle.
    if re.match(rb"\x80[\x02-\x05](?!.{6}\{)", head, re.DOTALL):
        return f"{_PYTORCH} (or another pickle)"
    known = [what for start, what in _HEADS if head.lower().startswith(start.lower())]
    return known[0] if known else _SUFFIXES.get(path.suffix.lower(), "")


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return "a damaged archive, such as of PyTorch or NumPy"
    if any(name.endswith("data.pkl") for name in names):
        return _PYTORCH
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive"
    return "a zip archive, as Keras writes it"


def advise(path: str | os.PathLike[str]) -> str:
    """Return what a file is and what to do, as the rest of an error; "" if not known.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "model.onnx"
    ...     _ = path.write_bytes(bytes([8, 7, 18]))
    ...     print(advise(path))
    an ONNX file, no weight file of rkd_jax; only PyTorch files can be converted
    """
    what = describe(path)
    if not what:
        return ""
    if what.startswith(_PYTORCH):
        return (
            f"{what}, no weight file of rkd_jax; convert it with `{CONVERTER} KIND "
            f"{path} OUT.safetensors`"
        )
    return f"{what}, no weight file of rkd_jax; only PyTorch files can be converted"


def list_names(names: Sequence[str], most: int = 8) -> str:
    """Return names in a line, cut where there are many.

    >>> list_names(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = len(names) - most
    shown = ", ".join(names[:most])
    return f"{shown} and {more} more" if more > 0 else shown


def read_state(
    path: Path, key: str = "", note: Callable[[str], None] = lambda text: None
) -> dict[str, np.ndarray]:
    """Read the state dict of a PyTorch file without running code from it.

    Args:
        path: of `torch.save`, or a safetensors file of PyTorch's names.
        key: where in the file the state dict lies, "a.b" for b in a; needed only where
            there are several.
        note: called with what was left out.

    Returns:
        Names and arrays, without what wrappers (data-parallel, compiled) add to names.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Not a PyTorch file of tensors, or PyTorch is not installed.
    """
    if path.is_dir():
        raise ValueError(f"{path}: a folder; expected a .pth file")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    state = _state_dict(path, _load(path), key, note)
    plain = {_unwrapped(name): value for name, value in state.items()}
    if len(plain) < len(state):
        counts = Counter(map(_unwrapped, state))
        twice = list_names([name for name in counts if counts[name] > 1])
        raise ValueError(f"{path}: twice, with and without a wrapper's name: {twice}")
    while all(name.startswith("module.") for name in plain):
        plain = {name.removeprefix("module."): v for name, v in plain.items()}
    if plain.keys() != state.keys():
        note(f"names without what a wrapper of the network added: {next(iter(plain))}")
    return {name: _array(path, name, value) for name, value in plain.items()}


def _load(path: Path) -> Any:
    try:
        import torch
    except ImportError:
        raise ValueError(
            "PyTorch is needed to read the file: pip install 'rkd_jax[torch]'"
        ) from None
    with path.open("rb") as file:
        head = file.read(9)
    try:
        if head[8:] == b"{":
            import safetensors.torch

            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of TorchScript: refused below
            return torch.load(path, map_location="cpu", weights_only=True)
    # What it raises on a damaged file is not documented: a KeyError, for example.
    except Exception as error:
        raise ValueError(f"{path}: {_why_unreadable(path, error)}") from None


def _why_unreadable(path: Path, error: Exception) -> str:
    """Return our sentence about a file that PyTorch refuses.

    Its own message is not passed on: it explains how to run the code in a file.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if not head:
        return "not a PyTorch file: it is empty (0 bytes)"
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign and isinstance(error, pickle.UnpicklingError):
        return (
            f"not a PyTorch file of plain tensors: it holds the Python object "
            f"{foreign[1]}, and code in a weight file is never run; have its author "
            "save the state dict alone, torch.save(model.state_dict(), FILE)"
        )
    if head.startswith((b"PK", b"\x80")):
        return "not a PyTorch file of plain tensors, or damaged; copy it again"
    return f"not a PyTorch file (it begins with {head!r})"


def _state_dict(
    path: Path, content: Any, key: str, note: Callable[[str], None]
) -> Mapping[str, Any]:
    """Return the one mapping of names to tensors in what a file holds."""
    try:
        found = dict(_state_dicts(content))
    except RecursionError:
        raise ValueError(f"{path}: holds a mapping inside itself") from None
    if key:
        if key not in found:
            raise ValueError(f"{path}: no state dict under {key!r}; {_all(found)}")
        return found[key]
    if len(found) > 1:
        raise ValueError(f"{path}: {_all(found)}; choose one with --key")
    if not found:
        raise ValueError(f"{path}: {_why_none(content)}")
    ((where, state),) = found.items()
    if where not in _USUAL:
        note(f"the state dict lies under {where!r}; the rest of the file is left out")
    return state


def _all(found: Mapping[str, Mapping[str, Any]]) -> str:
    shown = [f"{name!r} ({len(state)} tensors)" for name, state in found.items()]
    return f"it holds {len(shown)} state dicts: {list_names(shown)}"


def _state_dicts(
    content: Any, where: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield place and content of each state dict; those of optimizers are none."""
    import torch

    if not isinstance(content, Mapping) or not all(isinstance(k, str) for k in content):
        return
    if content and all(isinstance(value, torch.Tensor) for value in content.values()):
        yield ".".join(where), content
        return
    for name, value in content.items():
        if "optim" not in name.lower():
            yield from _state_dicts(value, (*where, name))


def _why_none(content: Any) -> str:
    """Say why there is no state dict, by what looks most like one."""
    import torch

    while isinstance(content, Mapping):
        inside = [v for k, v in content.items() if k in _USUAL]
        if not inside or not isinstance(inside[0], Mapping):
            break
        content = inside[0]
    if not isinstance(content, Mapping) or not content:
        return "holds no state dict"
    nameless = [repr(name) for name in content if not isinstance(name, str)]
    if nameless:
        return (
            f"names that are not text: {list_names(nameless)}; expected a state dict, "
            "as torch.save(model.state_dict(), FILE) writes it"
        )
    strangers = [k for k, v in content.items() if not isinstance(v, torch.Tensor)]
    return f"holds no state dict; not tensors: {list_names(strangers)}"


def _unwrapped(name: str) -> str:
    for part in _WRAPPERS:
        name = name.replace(part, "")
    return name


def _array(path: Path, name: str, tensor: Any) -> np.ndarray:
    import torch

    kind = ""
    if tensor.layout != torch.strided:
        kind = "sparse"
    elif tensor.is_quantized:
        kind = "quantized"
    elif tensor.is_complex():
        kind = "complex"
    elif tensor.is_meta:
        kind = "without values"
    if kind:
        wanted = "expected plain tensors: save the network in float32"
        raise ValueError(f"{path}: {name} is {kind}; {wanted}")
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def strip_prefix(
    state: Mapping[str, Any], known: Sequence[str]
) -> tuple[dict[str, Any], str]:
    """Take the one prefix off names that a network has as a part of another one.

    Args:
        state: names and values.
        known: names of the network alone.

    Returns:
        The state, and the prefix; "" where there is none.

    Raises:
        ValueError: the network is there several times, under several prefixes.

    >>> strip_prefix({"model.a.w": 1, "model.b.w": 2, "loss.w": 3}, ["a.w", "b.w"])
    ({'a.w': 1, 'b.w': 2, 'loss.w': 3}, 'model.')
    """
    counts: dict[str, int] = {}
    for name in state:
        for place in (0, *(match.end() for match in re.finditer(r"\.", name))):
            if name[place:] in known:
                counts[name[:place]] = counts.get(name[:place], 0) + 1
    if not counts:
        return dict(state), ""
    most = max(counts.values())
    best = [prefix for prefix, count in counts.items() if count == most]
    if len(best) > 1 and 2 * most > len(known):
        raise ValueError(
            "the network is there under several prefixes: "
            f"{', '.join(prefix or 'none' for prefix in sorted(best))}; save one of "
            "them alone"
        )
    stripped = {name.removeprefix(best[0]): value for name, value in state.items()}
    # What is in the way under the short name must not be lost.
    if len(best) > 1 or len(stripped) < len(state):
        return dict(state), ""
    return stripped, best[0]

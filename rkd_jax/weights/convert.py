"""Convert PyTorch weights to a weight file of rkd_jax.

    rkd-jax convert-weights superretina SuperRetina.pth superretina.safetensors

(`python -m rkd_jax.weights.convert` is the same) reads state dicts, alone or in a
container, such as the authors' ({"net": ..., "optimizer": ..., "epoch": ...}) or
Lightning's ({"state_dict": ...}), and files of safetensors with PyTorch's names. One
prefix of all names of the network is taken off ("model.", "module."); what is left out
is listed on stderr. Code in the file is never run: PyTorch loads it with
weights_only=True. Needs PyTorch (`pip install 'rkd_jax[torch]'`).

Exit code 0: written; 2: bad input, with one line that says why.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rkd_jax.runtime.command import run, say
from rkd_jax.weights import foreign
from rkd_jax.weights.torch_names import (
    Target,
    current_densenet_name,
    densenet_names,
    densenet_options,
    head_names,
    large_kernel_names,
    monai_names,
    superretina_names,
)

KINDS = {
    "superretina": "superretina",
    "large_kernel": "large_kernel",
    "swin_student": "swin_unetr",
    "monai_swin_unetr": "swin_unetr",
    "densenet121": "densenet",
}
PREPROCESS = {"channel": "green", "size": 768, "descriptor_grid": "upstream"}
# As torchvision's networks are trained on ImageNet.
TORCHVISION = {
    "size": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
TEACHER = "teacher."
INDEX = "relative_position_index"
COUNT = "num_batches_tracked"


def names_and_options(
    kind: str, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Target], dict[str, Any]]:
    """Return the name table of a kind of file and the options of our model.

    The file itself shows whether a large-kernel model has a 7x7 branch, the feature
    size and channels of a MONAI model, and the blocks, widths and classes of a DenseNet
    (torchvision's 161, 169 and 201 are read, too).
    """
    if kind == "densenet121":
        options = densenet_options(shapes)
        return densenet_names(options.get("blocks", (6, 12, 24, 16))), options
    if kind == "superretina":
        return superretina_names(), {}
    if kind == "large_kernel":
        kernels = (1, 3, 5, 7) if "conv2d.weight" in shapes else (1, 3, 5)
        return large_kernel_names(kernels), {"kernels": kernels}
    if kind == "swin_student":
        return monai_names() | head_names(), {}
    options = {"descriptor_dim": 0}
    embed = shapes.get("swinViT.patch_embed.proj.weight", ())
    if len(embed) == 4:
        options |= {"feature_size": embed[0], "in_channels": embed[1]}
    out = shapes.get("out.conv.conv.weight", ())
    if len(out) == 4:
        options["out_channels"] = out[0]
    return monai_names(), options


def convert(
    kind: str, state: Mapping[str, np.ndarray], source: str = "state dict"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return our variables and model options for a state dict of NumPy arrays.

    Args:
        kind: A key of `KINDS`.
        state: PyTorch names and arrays; `teacher.` entries already left out.
        source: What to call it in an error.

    Raises:
        ValueError: Entries are unknown, missing, misshapen or not finite, or a stored
            relative position index differs from ours: all of them listed.
    """
    # Not at the top: `--help` needs no JAX.
    from rkd_jax import weights
    from rkd_jax.models.swin import relative_position_index

    state = _current(kind, state)
    shapes = {name: array.shape for name, array in state.items()}
    table, options = names_and_options(kind, shapes)
    try:
        ours = weights.expected_shapes(KINDS[kind], options)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{source}: {error}") from None
    expected = {name: _their_shape(ours[t.name], t) for name, t in table.items()}
    buffers = {name: state[name] for name in state if name.endswith(f".{INDEX}")}
    known = {name.rpartition(".")[0] for name in table}
    index = relative_position_index(7)
    for name in buffers:
        if name.rpartition(".")[0] + ".qkv" in known:
            expected[name] = index.shape
    parameters = {name: a for name, a in state.items() if name not in buffers}
    weights.check_tensors(shapes, expected, source)
    weights.check_finite(state, source)
    wrong = sorted(k for k, v in buffers.items() if not np.array_equal(v, index))
    if wrong:
        raise ValueError(f"{source}: another relative position index in {wrong}")
    variables: dict[str, Any] = {}
    for name, array in parameters.items():
        target = table[name]
        *parents, leaf = target.name.split("/")
        level = variables
        for parent in parents:
            level = level.setdefault(parent, {})
        array = np.asarray(array, np.float32).reshape(_their_view(array, target))
        level[leaf] = np.array(array.transpose(target.axes), order="C")
    return variables, options


def _current(kind: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a state with today's names, without the counts of batches."""
    if kind != "densenet121":
        return dict(state)
    return {
        current_densenet_name(name): array
        for name, array in state.items()
        if not name.endswith(f".{COUNT}")
    }


def _their_shape(shape: tuple[int, ...], target: Target) -> tuple[int, ...]:
    """Return the PyTorch shape of a tensor that has `shape` with us."""
    if not target.axes:
        return (1,)
    theirs = [0] * len(shape)
    for axis, n in zip(target.axes, shape):
        theirs[axis] = n
    return tuple(theirs)


def _their_view(array: np.ndarray, target: Target) -> tuple[int, ...]:
    """Return the shape to transpose from: that of the array, or () for a scalar."""
    return array.shape if target.axes else ()


def read_state(path: Path, key: str = "") -> dict[str, np.ndarray]:
    """Read the state dict of a PyTorch file; say on stderr what is left out.

    See `rkd_jax.weights.foreign.read_state`.
    """
    return foreign.read_state(path, key, _note)


def _note(text: str) -> None:
    say(f"note: {text}", sys.stderr)


def _check_target(source: Path, target: Path) -> None:
    """Refuse to write over a file that is not a weight file of ours."""
    from rkd_jax import weights

    if target.is_dir():
        raise IsADirectoryError(f"{target}: a folder; expected the name of a file")
    if not os.path.lexists(target):
        return
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: both IN and OUT; choose another OUT")
    if not weights.is_ours(target):
        raise ValueError(
            f"{target}: there is such a file, and it is no weight file of rkd_jax; "
            "move it, or choose another OUT"
        )


def _own_part(kind: str, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the state without a prefix and without the teacher of a student."""
    known = {
        "superretina": superretina_names,
        "large_kernel": lambda: large_kernel_names((1, 3, 5, 7)),
        "swin_student": lambda: monai_names() | head_names(),
        "monai_swin_unetr": monai_names,
        "densenet121": lambda: densenet_names((6, 12, 24, 16)),
    }[kind]()
    whole = state
    state, prefix = foreign.strip_prefix(state, list(known))
    if prefix:
        _note(f"names without their prefix {prefix!r}")
        # Of what the network was a part of: its loss, the count of an average.
        others = [name for name in whole if not name.startswith(prefix)]
        if others:
            shown = foreign.list_names(others)
            _note(f"left out, without that prefix: {shown}")
        state = {k: v for k, v in state.items() if k not in others}
    teacher = [name for name in state if name.startswith(TEACHER)]
    if kind == "swin_student" and teacher:
        _note(
            f"skipped the teacher inside the file: {len(teacher)} entries under "
            f"{TEACHER!r}"
        )
        state = {k: v for k, v in state.items() if k not in set(teacher)}
    return state


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rkd_jax.weights.convert",
        description="Convert PyTorch weights to a weight file of rkd_jax.",
    )
    parser.add_argument("kind", choices=sorted(KINDS), help="what the file holds")
    parser.add_argument(
        "source", type=Path, metavar="IN.pth", help="PyTorch file, or .safetensors"
    )
    parser.add_argument("target", type=Path, metavar="OUT.safetensors")
    parser.add_argument(
        "--key",
        default="",
        metavar="NAME",
        help="which state dict of the file, where it holds several (a.b: b in a)",
    )
    return parser


def _run(args: argparse.Namespace) -> int:
    from rkd_jax import weights

    _check_target(args.source, args.target)
    state = _own_part(args.kind, read_state(args.source, args.key))
    variables, options = convert(args.kind, state, str(args.source))
    if args.kind == "monai_swin_unetr":
        head = ", ".join(t.name for t in head_names().values())
        _note(f"no descriptor head in the file, so none is written: {head}")
    digest = hashlib.sha256(args.source.read_bytes()).hexdigest()
    weights.save(
        args.target,
        variables,
        model=KINDS[args.kind],
        options=options,
        preprocess=TORCHVISION if args.kind == "densenet121" else PREPROCESS,
        recipe={"converted_from": args.source.name, "sha256": digest},
    )
    say(str(args.target))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    return run(lambda: _run(args))


if __name__ == "__main__":
    sys.exit(main())

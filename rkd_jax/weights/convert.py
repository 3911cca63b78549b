"""Convert PyTorch weights to a weight file of rkd_jax.

    python tools/convert_weights.py superretina SuperRetina.pth superretina.safetensors
    rkd-jax convert-weights superretina SuperRetina.pth superretina.safetensors

Reads state dicts, alone or in a container, such as the authors' ({"net": ...,
"optimizer": ..., "epoch": ...}) or Lightning's ({"state_dict": ...}), and files of
safetensors with PyTorch's names. One prefix of all names of the network is taken off
("model.", "module."); what is left out is told. Code in the file is never run: PyTorch
loads it with weights_only=True. Needs PyTorch (`pip install 'rkd_jax[torch]'`).

Exit code 0: written; 2: bad input, with one line that says why.
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rkd_jax.weights import foreign

KINDS = {
    "superretina": "superretina",
    "large_kernel": "large_kernel",
    "swin_student": "swin_unetr",
    "monai_swin_unetr": "swin_unetr",
}
PREPROCESS = {"channel": "green", "size": 768, "descriptor_grid": "upstream"}
TEACHER = "teacher."
INDEX = "relative_position_index"


class Target(NamedTuple):
    """Where a PyTorch tensor goes: our name and the order of its axes there."""

    name: str
    axes: tuple[int, ...]


CONV = (2, 3, 1, 0)
TRANSPOSED = (0, 2, 3, 1)
LINEAR = (1, 0)


def _layer(
    theirs: str, ours: str, axes: tuple[int, ...], *, bias: bool = True
) -> dict[str, Target]:
    """Map weight and bias of a convolution or linear layer."""
    table = {f"{theirs}.weight": Target(f"params/{ours}/kernel", axes)}
    if bias:
        table[f"{theirs}.bias"] = Target(f"params/{ours}/bias", (0,))
    return table


def _head() -> dict[str, Target]:
    """Map the descriptor head."""
    table = _layer("trans_conv", "descriptor/expand", TRANSPOSED)
    for letter in "abc":
        table |= _layer(f"convD{letter}", f"descriptor/conv_{letter}", CONV)
    return table


def _detector() -> dict[str, Target]:
    """Map the detector decoder of the two CNNs."""
    table = _layer("conv_last", "detector/conv_last", CONV)
    for stage in (1, 2, 3):
        for index, letter in ((0, "a"), (2, "b")):
            ours = f"detector/up{stage}/conv_{letter}"
            table |= _layer(f"dconv_up{stage}.{index}", ours, CONV)
    return table


def superretina_names() -> dict[str, Target]:
    """Map SuperRetina's 38 entries."""
    table = _head() | _detector()
    for stage in (1, 2, 3, 4):
        for letter in "ab":
            ours = f"stage{stage}/conv_{letter}"
            table |= _layer(f"conv{stage}{letter}", ours, CONV)
    return table


def large_kernel_names(kernels: tuple[int, ...]) -> dict[str, Target]:
    """Map LKUNET's 51 entries (57 with a 7x7 branch)."""
    table = _head() | _detector() | {"relu.weight": Target("params/slope", ())}
    for letter in "ab":
        table |= _layer(f"conv1{letter}", f"stage1/conv_{letter}", CONV)
    for stage in (2, 3, 4):
        table |= _layer(f"conv{stage}", f"stage{stage}/conv", CONV)
        for letter, size in zip("abcd", kernels):
            ours = f"stage{stage}/conv{size}x{size}"
            table |= _layer(f"conv{stage}{letter}", ours, CONV)
    return table


def swin_encoder_names() -> dict[str, Target]:
    """Map the Swin encoder, `swinViT.*`."""
    table = _layer("swinViT.patch_embed.proj", "encoder/patch_embed", CONV)
    for stage in (1, 2, 3, 4):
        theirs = f"swinViT.layers{stage}.0"
        for block in (0, 1):
            a, b = f"{theirs}.blocks.{block}", f"encoder/stage{stage}_block{block}"
            table |= _layer(f"{a}.attn.qkv", f"{b}/attention/qkv", LINEAR)
            table |= _layer(f"{a}.attn.proj", f"{b}/attention/proj", LINEAR)
            name = "relative_position_bias_table"
            table[f"{a}.attn.{name}"] = Target(f"params/{b}/attention/{name}", (0, 1))
            for layer in ("linear1", "linear2"):
                table |= _layer(f"{a}.mlp.{layer}", f"{b}/{layer}", LINEAR)
            for norm in ("norm1", "norm2"):
                table |= _norm(f"{a}.{norm}", f"{b}/{norm}")
        ours = f"encoder/stage{stage}_merge"
        theirs = f"{theirs}.downsample"
        table |= _layer(f"{theirs}.reduction", f"{ours}/reduction", LINEAR, bias=False)
        table |= _norm(f"{theirs}.norm", f"{ours}/norm")
    return table


def _norm(theirs: str, ours: str) -> dict[str, Target]:
    """Map scale and bias of a layer norm."""
    return {
        f"{theirs}.weight": Target(f"params/{ours}/scale", (0,)),
        f"{theirs}.bias": Target(f"params/{ours}/bias", (0,)),
    }


def monai_names() -> dict[str, Target]:
    """Map MONAI's 2-D SwinUNETR: 151 parameters, without the index buffers."""
    table = swin_encoder_names() | _layer("out.conv.conv", "out", CONV)
    for number in (1, 2, 3, 4, 10):
        convs = ("conv1", "conv2", "conv3") if number == 1 else ("conv1", "conv2")
        for conv in convs:
            theirs = f"encoder{number}.layer.{conv}.conv"
            table |= _layer(theirs, f"encoder{number}/{conv}", CONV, bias=False)
    for number in (1, 2, 3, 4, 5):
        theirs, ours = f"decoder{number}", f"decoder{number}"
        table |= _layer(
            f"{theirs}.transp_conv.conv", f"{ours}/transposed", TRANSPOSED, bias=False
        )
        for conv in ("conv1", "conv2", "conv3"):
            table |= _layer(
                f"{theirs}.conv_block.{conv}.conv",
                f"{ours}/block/{conv}",
                CONV,
                bias=False,
            )
    return table


def names_and_options(
    kind: str, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Target], dict[str, Any]]:
    """Return the name table of a kind of file and the options of our model.

    What can be told from the file is: whether a large-kernel model has a 7x7 branch;
    feature size and channels of a MONAI model.
    """
    if kind == "superretina":
        return superretina_names(), {}
    if kind == "large_kernel":
        kernels = (1, 3, 5, 7) if "conv2d.weight" in shapes else (1, 3, 5)
        return large_kernel_names(kernels), {"kernels": kernels}
    if kind == "swin_student":
        return monai_names() | _head(), {}
    options: dict[str, Any] = {"descriptor_dim": 0}
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
    print(f"convert_weights: {text}", file=sys.stderr)


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
        "swin_student": lambda: monai_names() | _head(),
        "monai_swin_unetr": monai_names,
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
        description="Convert PyTorch weights to a weight file of rkd_jax."
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


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = _parser().parse_args(argv)
    try:
        from rkd_jax import weights

        _check_target(args.source, args.target)
        state = _own_part(args.kind, read_state(args.source, args.key))
        variables, options = convert(args.kind, state, str(args.source))
        if args.kind == "monai_swin_unetr":
            head = ", ".join(t.name for t in _head().values())
            _note(f"no descriptor head in the file, so none is written: {head}")
        digest = hashlib.sha256(args.source.read_bytes()).hexdigest()
        weights.save(
            args.target,
            variables,
            model=KINDS[args.kind],
            options=options,
            preprocess=PREPROCESS,
            recipe={"converted_from": args.source.name, "sha256": digest},
        )
    except (ValueError, OSError) as error:
        print(f"convert_weights: {error}", file=sys.stderr)
        return 2
    print(args.target)
    return 0


if __name__ == "__main__":
    sys.exit(main())

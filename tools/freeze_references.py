"""Freeze what the PyTorch references compute, for parity tests that need no PyTorch.

    python tools/freeze_references.py tests/references

Needs PyTorch and MONAI (`pip install 'rkd_jax[torch]'`); the files there are from
torch 2.13.0 and monai 1.6.1. Weights and inputs are not stored: a rule makes them from
the names and shapes of the tensors, here and in the tests. Stored are outputs and
gradients, computed in float64, at positions that the same rule chooses.
"""

import argparse
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Kinds of `convert_weights` and the sizes (height, width) of the inputs. A side of 64
# or 96 has padded windows and windows cut to the token grid, 224 has whole windows.
NETWORKS = {
    "superretina": [(32, 48)],
    "large_kernel": [(32, 48)],
    "swin_student": [(96, 64), (64, 224)],
}
KERNELS = (1, 3, 5, 7)
# Rotation in degrees, shift in pixels, scale: draws of upstream's affine warp.
DRAWS = [(15.0, 12.0, -7.0, 1.35), (-8.0, 0.0, 9.0, 0.9), (0.0, 5.0, 5.0, 1.0)]
WARP_SIZES = [(40, 40), (40, 56)]
MOST_OUTPUTS, MOST_GRADIENTS = 1024, 64


def generator(name: str) -> np.random.Generator:
    """Return the random generator that belongs to a name."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def tensor_by_rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of a PyTorch tensor, float32.

    Matrices and kernels keep the size of activations, scales are near 1, the rest is
    near 0, so that no layer is without effect.

    >>> round(float(tensor_by_rule("conv1.weight", (64, 9, 3, 3)).std()), 2)
    0.16
    """
    values = generator(name).normal(size=shape)
    if len(shape) == 4 or (len(shape) == 2 and name.endswith(".weight")):
        values = values * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith(".weight"):
        values = 1 + 0.3 * values
    else:
        values = 0.3 * values
    return values.astype(np.float32)


def state_by_rule(kind: str) -> dict[str, np.ndarray]:
    """Return a state dict of the default network of a kind, as PyTorch names it.

    Args:
        kind: A key of `convert_weights.KINDS`.
    """
    from rkd_jax import weights
    from rkd_jax.weights import convert as convert_weights

    asked = {"conv2d.weight": ()} if kind == "large_kernel" else {}
    table, options = convert_weights.names_and_options(kind, asked)
    ours = weights.expected_shapes(convert_weights.KINDS[kind], options)
    state = {}
    for name, target in table.items():
        axes = np.argsort(target.axes)
        shape = tuple(ours[target.name][axis] for axis in axes) or (1,)
        state[name] = tensor_by_rule(name, shape)
    return state


def images_by_rule(size: tuple[int, int]) -> np.ndarray:
    """Return one image `[1, H, W, 1]` float32 in 0..1."""
    return generator(f"image {size}").uniform(size=(1, *size, 1)).astype(np.float32)


def cotangent_by_rule(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of an output in the sum whose gradient is taken, float32."""
    values = generator(f"cotangent of {name}").normal(size=shape)
    return (values / np.sqrt(np.prod(shape))).astype(np.float32)


def thin(name: str, values: np.ndarray, most: int) -> np.ndarray:
    """Return the values at `most` positions that the rule draws, or all values.

    >>> thin("a", np.arange(100), 3).size, thin("a", np.arange(2), 3).tolist()
    (3, [0, 1])
    """
    flat = np.asarray(values).reshape(-1)
    if flat.size <= most:
        return flat
    chosen = generator(f"positions in {name}").choice(flat.size, most, replace=False)
    return flat[np.sort(chosen)]


def upstream_theta(
    draw: tuple[float, float, float, float], size: tuple[int, int]
) -> np.ndarray:
    """Return upstream's affine matrix `[2, 3]`, normalized output to normalized input.

    Args:
        draw: rotation in degrees, shift x and y in pixels, scale.
        size: (height, width).
    """
    angle, tx, ty, scale = draw
    alpha = -angle * np.pi / 180.0
    return np.array(
        [
            [np.cos(alpha) / scale, -np.sin(alpha), -tx / size[0]],
            [np.sin(alpha), np.cos(alpha) / scale, -ty / size[1]],
        ]
    )


def _reference(kind: str) -> Any:
    """Return the PyTorch network of a kind with the weights of the rule, in float64."""
    import torch
    from benchmarks import torch_reference

    if kind == "swin_student":
        model = torch_reference.SwinStudent()
    else:
        model = torch_reference.SuperRetina(KERNELS if kind == "large_kernel" else ())
    state = state_by_rule(kind)
    parameters = {_plain(name): p for name, p in model.named_parameters()}
    if {k: tuple(p.shape) for k, p in parameters.items()} != {
        k: v.shape for k, v in state.items()
    }:
        raise ValueError(f"{kind}: names or shapes differ from the reference's")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(torch.from_numpy(state[name]))
    return model.eval().double()


def _plain(name: str) -> str:
    return name.removeprefix("net.")


def _maps(model: Any, kind: str, x: Any) -> dict[str, Any]:
    """Return the outputs `[1, C, H, W]` that are compared, by our names."""
    from benchmarks import torch_reference

    if kind != "swin_student":
        _, logits, descriptors = model(x)
        return {"logits": logits, "descriptors": descriptors}
    maps = torch_reference.swin_maps(model.net, x)
    return maps | {"descriptors": torch_reference.describe(model, maps["dec2"])}


def freeze_network(kind: str) -> dict[str, np.ndarray]:
    """Return outputs of a kind for each of its sizes, and gradients for the first one.

    Names are `HEIGHTxWIDTH/OUTPUT`, in our order of axes, and
    `gradient/PARAMETER`, with our names and order of axes.
    """
    import torch

    from rkd_jax.weights import convert as convert_weights

    model, sizes, found = _reference(kind), NETWORKS[kind], {}
    for size in sizes:
        x = torch.from_numpy(images_by_rule(size)).permute(0, 3, 1, 2).double()
        maps = {k: v.permute(0, 2, 3, 1) for k, v in _maps(model, kind, x).items()}
        for name, value in maps.items():
            key = f"{size[0]}x{size[1]}/{name}"
            found[key] = thin(key, value.detach().numpy(), MOST_OUTPUTS)
        if size != sizes[0]:
            continue
        heads = {name: maps[name] for name in ("logits", "descriptors")}
        total = sum(
            (
                value * torch.from_numpy(cotangent_by_rule(name, tuple(value.shape)))
            ).sum()
            for name, value in heads.items()
        )
        total.backward()
        gradients, _ = convert_weights.convert(
            kind, {_plain(k): p.grad.numpy() for k, p in model.named_parameters()}
        )
        for name, value in flatten(gradients).items():
            found[f"gradient/{name}"] = thin(name, value, MOST_GRADIENTS)
    return found


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Return the arrays of a nested dict by their names joined with "/".

    >>> flatten({"a": {"b": 1}})
    {'a/b': 1}
    """
    found = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{name}/")
        else:
            found[prefix + name] = value
    return found


def freeze_warps() -> dict[str, np.ndarray]:
    """Return upstream's warps by PyTorch, as `HEIGHTxWIDTH/DRAW/DIRECTION`."""
    import torch

    found = {}
    for size in WARP_SIZES:
        image = torch.from_numpy(images_by_rule(size)).permute(0, 3, 1, 2)
        for number, draw in enumerate(DRAWS):
            matrix = np.vstack([upstream_theta(draw, size), [0, 0, 1]])
            for direction, used in (("there", matrix), ("back", np.linalg.inv(matrix))):
                theta = torch.tensor(used[:2], dtype=torch.float32)[None]
                grid = torch.nn.functional.affine_grid(
                    theta, image.shape, align_corners=True
                )
                warped = torch.nn.functional.grid_sample(
                    image, grid, align_corners=True
                )
                key = f"{size[0]}x{size[1]}/{number}/{direction}"
                found[key] = thin(key, warped.numpy(), MOST_OUTPUTS)
    return found


def main(argv: list[str] | None = None) -> int:
    """Write one `.npz` for each network and one for the warps."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="tests/references")
    folder = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: freeze_network(kind) for kind in NETWORKS}
    for name, arrays in (files | {"affine_warps": freeze_warps()}).items():
        target = folder / f"{name}.npz"
        np.savez_compressed(
            target, **{k: np.asarray(v, np.float32) for k, v in arrays.items()}
        )
        print(f"{target}: {len(arrays)} arrays, {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

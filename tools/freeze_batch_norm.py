"""Freeze what PyTorch computes with networks with BatchNorm, for their parity tests.

    python tools/freeze_batch_norm.py tests/references

Needs PyTorch (`pip install 'rkd_jax[torch]'`); the files there are from torch 2.13.0.
Weights and images are made by the rule of `freeze_references`. Stored are logits with
the averages of BatchNorm and with the statistics of the batch, those statistics, and
gradients, computed in float64.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import freeze_references as rule
import numpy as np

# Name of our network, its options, sides of the images.
CASES = {
    "frrn": ("frrn", {"width": 4, "lanes": 3, "out_channels": 2}, (32, 48)),
    "resnet_bottleneck": (
        "resnet",
        {"widths": (4, 4, 6, 8), "depths": (2, 1, 2, 1)},
        (48, 32),
    ),
    "resnet_basic": (
        "resnet",
        {
            **{"widths": (4, 6, 6, 8), "depths": (1, 2, 1, 1), "out_channels": 3},
            **{"bottleneck": False, "stem_pool": True},
        },
        (64, 32),
    ),
    "densenet": (
        "densenet",
        {
            **{"growth": 4, "blocks": (2, 1, 1), "stem": 6, "bn_size": 2},
            **{"out_channels": 3},
        },
        (40, 32),  # 10, 5 and 2 rows in the three blocks
    ),
}
BATCH = 3
LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}
LEAVES |= {"mean": "running_mean", "var": "running_var"}


def images(case: str) -> np.ndarray:
    """Return the images `[3, H, W, 3]` float32 of a case."""
    shape = (BATCH, *CASES[case][2], 3)
    return rule.generator(f"images of {case}").uniform(size=shape).astype(np.float32)


def torch_name(network: str, name: str) -> str:
    """Return PyTorch's name of one of our arrays.

    >>> torch_name("frrn", "params/down2_1/conv_a/bn/norm/scale")
    'units.4.first.1.weight'
    >>> torch_name("resnet", "params/stage2_0/shortcut/conv/kernel")
    'layer2.0.downsample.0.weight'
    >>> torch_name("densenet", "params/grow1_0/conv/kernel")
    'features.denseblock1.denselayer1.conv2.weight'
    """
    if network == "densenet":
        from rkd_jax.weights.torch_names import densenet_names

        table = densenet_names(CASES[network][1]["blocks"])
        return next(theirs for theirs, ours in table.items() if ours.name == name)
    _, layer, *rest, leaf = name.split("/")
    leaf, rest = LEAVES[leaf], [part for part in rest if part != "norm"]
    layers, number = {"conv": "0", "bn": "1"}, re.findall(r"\d+", layer)
    if network == "resnet":
        if layer == "logits":
            return f"fc.{leaf}"
        if layer == "stem":
            return f"{rest[0]}1.{leaf}"
        block = f"layer{number[0]}.{number[1]}"
        if rest[0] == "shortcut":
            return f"{block}.downsample.{layers[rest[1]]}.{leaf}"
        return f"{block}.{rest[1]}{int(rest[0].removeprefix('conv')) + 1}.{leaf}"
    parts = {"conv_a": "first", "conv_b": "second", "shortcut": "project"}
    parts |= {"conv_lanes": "to_lanes"} | layers
    whole = {"conv_last": "classify", "lanes": "split", "stem": "stem"}
    if layer not in whole:
        kind = layer.rstrip("0123456789_")
        starts = {"down1": 0, "down2": 3, "down3": 7, "down4": 9}
        starts |= {"up3": 11, "up2": 13, "up1": 15}
        if kind in ("down", "up"):
            whole[layer] = f"units.{starts[kind + number[0]] + int(number[1])}"
        else:
            whole[layer] = {"first": "before", "last": "after"}[kind] + f".{number[0]}"
    return ".".join([whole[layer], *(parts[part] for part in rest), leaf])


def _turned(values: np.ndarray, *, back: bool) -> np.ndarray:
    """Return an array in PyTorch's order of axes, or back in ours."""
    order = {4: (2, 3, 1, 0) if back else (3, 2, 0, 1), 2: (1, 0)}
    return values.transpose(order.get(values.ndim, range(values.ndim)))


def array_by_rule(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of one of our arrays, float32, in our order of axes."""
    theirs = torch_name(CASES[case][0], name)
    turned = _turned(np.empty(shape), back=False).shape
    values = rule.tensor_by_rule(f"{case} {theirs}", turned)
    if theirs.endswith("running_var"):
        values = np.exp(values)
    return _turned(values, back=True)


def _reference(case: str) -> Any:
    from benchmarks import torch_densenet, torch_lesions

    network, options, _ = CASES[case]
    if network == "densenet":
        return torch_densenet.DenseNet(
            growth=options["growth"],
            blocks=options["blocks"],
            stem=options["stem"],
            bn_size=options["bn_size"],
            classes=options["out_channels"],
        )
    if network == "frrn":
        return torch_lesions.FRRN(
            options["width"], options["lanes"], options["out_channels"]
        )
    return torch_lesions.ResNet(
        options["widths"],
        options["depths"],
        bottleneck=options.get("bottleneck", True),
        stem_pool=options.get("stem_pool", False),
        classes=options.get("out_channels", 2),
    )


def freeze(case: str) -> dict[str, np.ndarray]:
    """Return what PyTorch computes in a case.

    "eval" and "train" are logits; "batch/ARRAY" mean and variance (divided by n) of
    the batch, in our names; "gradient/ARRAY" the gradient of a sum of "train".
    """
    import torch

    from rkd_jax import weights

    network, options, _ = CASES[case]
    model = _reference(case).double()
    ours = weights.expected_shapes(network, options)
    names = {torch_name(network, name): name for name in ours}
    state = {
        theirs: torch.from_numpy(
            _turned(array_by_rule(case, name, ours[name]), back=False).copy()
        )
        for theirs, name in names.items()
    }
    counts = {k: v for k, v in model.state_dict().items() if k.endswith("_tracked")}
    model.load_state_dict(state | counts)
    x = torch.from_numpy(images(case)).permute(0, 3, 1, 2).double()
    found = {"eval": model.eval()(x)}
    for module_name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.register_forward_pre_hook(_keep(found, names, module_name))
    found["train"] = logits = model.train()(x)
    seed = rule.cotangent_by_rule(case, tuple(logits.shape))
    (logits * torch.from_numpy(seed)).sum().backward()
    gradients = {
        f"gradient/{names[k]}": _turned(p.grad.numpy(), back=True)
        for k, p in model.named_parameters()
    }
    for key in ("eval", "train"):
        value = found[key].detach().numpy()
        found[key] = np.moveaxis(value, 1, -1) if value.ndim == 4 else value
    return {k: rule.thin(k, v, most(k)) for k, v in (found | gradients).items()}


def most(key: str) -> int:
    """Return how many values of an array are kept at most."""
    return rule.MOST_GRADIENTS if key.startswith("gradient/") else rule.MOST_OUTPUTS


def _keep(found: dict[str, Any], names: dict[str, str], module: str) -> Any:
    """Return a hook that keeps the statistics of what a BatchNorm gets."""

    def hook(_, inputs):
        x = inputs[0].detach()
        mean = x.mean((0, 2, 3))
        variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
        found["batch/" + names[f"{module}.running_mean"]] = mean.numpy()
        found["batch/" + names[f"{module}.running_var"]] = variance.numpy()

    return hook


def main(argv: list[str] | None = None) -> int:
    """Write one `.npz` for each case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="tests/references")
    folder = parser.parse_args(argv).folder
    folder.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        arrays = {k: np.asarray(v, np.float32) for k, v in freeze(case).items()}
        target = folder / f"{case}.npz"
        np.savez_compressed(target, **arrays)
        print(f"{target}: {len(arrays)} arrays, {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

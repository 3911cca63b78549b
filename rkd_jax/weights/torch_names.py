"""Where PyTorch's tensors go in our networks: the authors', MONAI's, torchvision's."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple


class Target(NamedTuple):
    """Where a PyTorch tensor goes: our name and the order of its axes there."""

    name: str
    axes: tuple[int, ...]


CONV = (2, 3, 1, 0)
TRANSPOSED = (0, 2, 3, 1)
LINEAR = (1, 0)
_OLD_LAYER = re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12]\.)")
_DENSE_LAYER = re.compile(r"features\.denseblock(\d+)\.denselayer(\d+)\.")


def _layer(
    theirs: str, ours: str, axes: tuple[int, ...], *, bias: bool = True
) -> dict[str, Target]:
    """Map weight and bias of a convolution or linear layer."""
    table = {f"{theirs}.weight": Target(f"params/{ours}/kernel", axes)}
    if bias:
        table[f"{theirs}.bias"] = Target(f"params/{ours}/bias", (0,))
    return table


def head_names() -> dict[str, Target]:
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
    table = head_names() | _detector()
    for stage in (1, 2, 3, 4):
        for letter in "ab":
            ours = f"stage{stage}/conv_{letter}"
            table |= _layer(f"conv{stage}{letter}", ours, CONV)
    return table


def large_kernel_names(kernels: tuple[int, ...]) -> dict[str, Target]:
    """Map LKUNET's 51 entries (57 with a 7x7 branch)."""
    table = head_names() | _detector() | {"relu.weight": Target("params/slope", ())}
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


def current_densenet_name(name: str) -> str:
    """Return a tensor's name in a DenseNet of torchvision, whose file has an old one.

    >>> current_densenet_name("features.denseblock1.denselayer6.norm.2.bias")
    'features.denseblock1.denselayer6.norm2.bias'
    """
    return _OLD_LAYER.sub(r"\1\2", name)


def densenet_options(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return the options of our DenseNet that the shapes in torchvision's show.

    What they do not show, because a tensor is missing, keeps its default.
    """
    options: dict[str, Any] = {}
    stem = shapes.get("features.conv0.weight", ())
    if len(stem) == 4:
        options |= {"stem": stem[0], "in_channels": stem[1]}
    classes = shapes.get("classifier.bias", ())
    if len(classes) == 1:
        options["out_channels"] = classes[0]
    grow = shapes.get("features.denseblock1.denselayer1.conv2.weight", ())
    if len(grow) == 4:
        options |= {"growth": grow[0], "bn_size": grow[1] // max(grow[0], 1)}
    found = {match.groups() for name in shapes if (match := _DENSE_LAYER.match(name))}
    layers = [block for block, _ in found]
    blocks = [str(number) for number in range(1, len(set(layers)) + 1)]
    if layers and set(blocks) == set(layers):
        options["blocks"] = tuple(layers.count(block) for block in blocks)
    return options


def densenet_names(blocks: tuple[int, ...]) -> dict[str, Target]:
    """Map torchvision's DenseNet, without the counts of batches.

    Args:
        blocks: Layers of the dense blocks.
    """
    table = _layer("features.conv0", "stem/conv", CONV, bias=False)
    table |= _batch_norm("features.norm0", "stem/bn")
    for block, depth in enumerate(blocks, start=1):
        if block > 1:
            theirs, ours = f"features.transition{block - 1}", f"halve{block}"
            table |= _batch_norm(f"{theirs}.norm", f"{ours}/bn")
            table |= _layer(f"{theirs}.conv", f"{ours}/conv", CONV, bias=False)
        for number in range(depth):
            theirs = f"features.denseblock{block}.denselayer{number + 1}"
            for index, kind in ((1, "narrow"), (2, "grow")):
                ours = f"{kind}{block}_{number}"
                table |= _batch_norm(f"{theirs}.norm{index}", f"{ours}/bn")
                table |= _layer(
                    f"{theirs}.conv{index}", f"{ours}/conv", CONV, bias=False
                )
    table |= _batch_norm("features.norm5", "last_bn")
    return table | _layer("classifier", "logits", LINEAR)


def _batch_norm(theirs: str, ours: str) -> dict[str, Target]:
    """Map scale, bias and averages of a BatchNorm."""
    return _norm(theirs, f"{ours}/norm") | {
        f"{theirs}.running_{kind}": Target(f"batch_stats/{ours}/norm/{kind}", (0,))
        for kind in ("mean", "var")
    }

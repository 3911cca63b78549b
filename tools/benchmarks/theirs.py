"""The arms of PyTorch; see `measure.Arm`.

`layout` is "first" (channels first, as the original) or "last".
"""

import contextlib
import functools
import gc

import numpy as np
import torch

from benchmarks import inputs, torch_reference
from benchmarks.measure import Arm
from benchmarks.torch_step import Step

# XLA chooses its algorithms by timing them too.
torch.backends.cudnn.benchmark = True
FORMATS = {"first": torch.contiguous_format, "last": torch.channels_last}


def _device(device: str) -> torch.device:
    return torch.device("cuda" if device == "gpu" else "cpu")


def set_precision(precision: str) -> None:
    """Allow TF32 on a GPU, or forbid it."""
    allowed = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def _autocast(device: str, precision: str):
    if precision != "bfloat16":
        return contextlib.nullcontext
    kind = _device(device).type
    return functools.partial(torch.autocast, kind, dtype=torch.bfloat16)


def _waiting(function, device: str, precision: str) -> Arm:
    def arm(count):
        set_precision(precision)
        for _ in range(count):
            function()
        if device == "gpu":
            torch.cuda.synchronize()

    return arm


def _placed(model, device: str, layout: str, *, compiled: bool):
    model = model.to(_device(device), memory_format=FORMATS[layout])
    if not compiled:
        return model
    return torch.compile(model, dynamic=False)


def release() -> None:
    """Give back memory that no arm holds, and forget compiled functions.

    Dynamo compiles a function eight times at most, and shapes that differ as unknown.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch._dynamo.reset()
        torch.cuda.empty_cache()


def _images(size: int, batch: int, device: str, layout: str):
    x = torch.from_numpy(inputs.images(size, batch)).permute(0, 3, 1, 2)
    return x.to(_device(device)).contiguous(memory_format=FORMATS[layout])


def matmul(side: int, device: str, precision: str = "float32") -> Arm:
    """Multiply two square matrices."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a = torch.randn(side, side, device=_device(device), dtype=dtype)
    return _waiting(lambda: a @ a, device, precision)


def weight_gradient(size: int, c: int, f: int, device: str, layout: str) -> Arm:
    """Weight gradient of a 3x3 convolution."""
    place = {"device": _device(device)}
    x, g = (
        torch.randn(1, n, size, size, **place).to(memory_format=FORMATS[layout])
        for n in (c, f)
    )
    kernel = torch.randn(f, c, 3, 3, **place).to(memory_format=FORMATS[layout])
    one = [1, 1]

    def run():
        torch.ops.aten.convolution_backward(
            g, x, kernel, None, one, one, one, False, [0, 0], 1, [False, True, False]
        )

    return _waiting(run, device, "float32")


def network(
    size: int,
    batch: int,
    *,
    backward: bool,
    device: str,
    layout: str,
    precision: str = "float32",
) -> Arm:
    """Forward pass of the U-Net, or forward and backward to all parameters."""
    model = torch_reference.SuperRetina()
    model = _placed(model, device, layout, compiled=device == "gpu")
    x, context = _images(size, batch, device, layout), _autocast(device, precision)

    def forward():
        with torch.no_grad(), context():
            model(x)

    def both():
        model.zero_grad(set_to_none=True)
        with context():
            heatmap, _, descriptors = model(x)
        sum((y.float() ** 2).sum() for y in (heatmap, descriptors)).backward()

    return _waiting(both if backward else forward, device, precision)


def train_step(
    size: int,
    batch: int,
    *,
    distill: bool,
    device: str,
    layout: str,
    precision: str = "float32",
) -> Arm:
    """Step of the U-Net recipe, or of RKD (needs MONAI)."""
    torch.manual_seed(0)
    place = functools.partial(
        _placed, device=device, layout=layout, compiled=device == "gpu"
    )
    teacher = None
    if distill:
        network = place(torch_reference.SwinStudent())
        teacher = place(torch_reference.SuperRetina()).eval().requires_grad_(False)
    else:
        network = place(torch_reference.SuperRetina())
    x, points = _images(size, batch, device, layout), inputs.labels(size, batch)
    step = Step(network, teacher, x, points, _autocast(device, precision))

    def arm(count):
        set_precision(precision)
        for _ in range(count):
            loss = step()
        # Reading the last loss waits for all steps.
        if not np.isfinite(value := loss.item()):
            raise FloatingPointError(f"the loss of the benchmarked step is {value}")

    return arm


def peak_gpu_mib() -> float:
    """Return the largest memory that tensors have held on the GPU, MiB."""
    return torch.cuda.max_memory_allocated() / 2**20

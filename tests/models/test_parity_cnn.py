"""U-Net and large kernel against PyTorch models written from the specification."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build

torch = pytest.importorskip("torch", reason="PyTorch is an extra for parity tests")
nn = torch.nn

TOOL = Path(__file__).parents[2] / "tools" / "convert_weights.py"


def _tool():
    spec = importlib.util.spec_from_file_location("convert_weights", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def _reference(kernels):
    """Return the layers of a model by their names in the authors' files."""
    layers = {"conv1a": (1, 64, 3), "conv1b": (64, 64, 3)}
    for stage, (c, f) in enumerate(((64, 64), (64, 128), (128, 128)), 2):
        if kernels:
            layers[f"conv{stage}"] = (c, f, 3)
            for letter, size in zip("abcd", kernels):
                layers[f"conv{stage}{letter}"] = (f, f, size)
        else:
            layers |= {f"conv{stage}a": (c, f, 3), f"conv{stage}b": (f, f, 3)}
    layers |= {"convDa": (128, 256, 3), "convDc": (256, 256, 1)}
    layers["conv_last"] = (64, 1, 1)
    model = nn.ModuleDict(
        {k: nn.Conv2d(c, f, s, padding=s // 2) for k, (c, f, s) in layers.items()}
    )
    model["convDb"] = nn.Conv2d(256, 256, 4, stride=2)
    model["trans_conv"] = nn.ConvTranspose2d(256, 256, 2, stride=2)
    for stage, c, f in ((3, 256, 128), (2, 192, 64), (1, 128, 64)):
        model[f"dconv_up{stage}"] = nn.Sequential(
            nn.Conv2d(c, f, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(f, f, 3, padding=1),
            nn.ReLU(),
        )
    if kernels:
        model["relu"] = nn.PReLU()
    return model


def _run_reference(model, kernels, x):
    """Return heatmap, logits and descriptors, channels first."""
    act = model["relu"] if kernels else torch.relu
    x = act(model["conv1b"](act(model["conv1a"](x))))
    skips = [x]
    for stage in (2, 3, 4):
        x = nn.functional.max_pool2d(x, 2)
        if kernels:
            x = act(model[f"conv{stage}"](x))
            branches = "abcd"[: len(kernels)]
            x = act(x + sum(model[f"conv{stage}{letter}"](x) for letter in branches))
        else:
            x = act(model[f"conv{stage}b"](act(model[f"conv{stage}a"](x))))
        skips.append(x)
    y = act(model["convDb"](act(model["convDa"](x))))
    y = model["convDc"](y)
    descriptors = model["trans_conv"](y / y.norm(dim=1, keepdim=True))
    for stage in (3, 2, 1):
        x = nn.functional.interpolate(
            x, scale_factor=2, mode="bilinear", align_corners=True
        )
        x = model[f"dconv_up{stage}"](torch.cat([x, skips[stage - 1]], 1))
    logits = model["conv_last"](x)
    return torch.sigmoid(logits), logits, descriptors


@pytest.mark.parametrize("kernels", [(), (1, 3, 5), (1, 3, 5, 7)])
@pytest.mark.parametrize("size", [(64, 96)])
def test_outputs_and_gradients_equal_pytorch(kernels, size):
    torch.manual_seed(0)
    model = _reference(kernels)
    kind = "large_kernel" if kernels else "superretina"
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    variables, options = _tool().convert(kind, state)
    module = build(kind, **options)
    assert not kernels or module.kernels == kernels
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, *size, 1)).astype(np.float32)
    theirs = _run_reference(model, kernels, torch.from_numpy(x.transpose(0, 3, 1, 2)))
    cotangents = [rng.normal(size=y.shape).astype(np.float32) for y in theirs]
    total = sum((y * torch.from_numpy(c)).sum() for y, c in zip(theirs, cotangents))
    (total / size[0]).backward()

    def loss(params):
        output = module.apply({"params": params}, jnp.asarray(x))
        ours = (
            output.heatmap[:, None],
            output.logits[:, None],
            output.descriptors.transpose(0, 3, 1, 2),
        )
        return sum(jnp.sum(y * c) for y, c in zip(ours, cotangents)) / size[0], ours

    (_, ours), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        variables["params"]
    )
    for y, expected in zip(ours, theirs):
        np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-4)
    grads = {k: p.grad.numpy() for k, p in model.named_parameters()}
    expected, _ = _tool().convert(kind, grads)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4),
        gradients,
        expected["params"],
    )

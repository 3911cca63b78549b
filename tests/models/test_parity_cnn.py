"""U-Net and large kernel against PyTorch models written from the specification."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build

torch = pytest.importorskip("torch", reason="PyTorch is an extra for parity tests")
from benchmarks import torch_reference  # noqa: E402  (needs PyTorch)

TOOL = Path(__file__).parents[2] / "tools" / "convert_weights.py"


def _tool():
    spec = importlib.util.spec_from_file_location("convert_weights", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.mark.parametrize("kernels", [(), (1, 3, 5), (1, 3, 5, 7)])
@pytest.mark.parametrize("size", [(64, 96)])
def test_outputs_and_gradients_equal_pytorch(kernels, size):
    # Weights under which no two pixels all but tie in a maximum: there rounding would
    # send a gradient elsewhere.
    torch.manual_seed(1)
    model = torch_reference.SuperRetina(kernels)
    kind = "large_kernel" if kernels else "superretina"
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    variables, options = _tool().convert(kind, state)
    module = build(kind, **options)
    assert not kernels or module.kernels == kernels
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, *size, 1)).astype(np.float32)
    theirs = model(torch.from_numpy(x.transpose(0, 3, 1, 2)))
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

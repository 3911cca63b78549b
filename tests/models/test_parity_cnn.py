"""U-Net and large kernel against PyTorch models written from the specification."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build
from rkd_jax.weights.convert import convert

torch = pytest.importorskip("torch", reason="PyTorch is an extra for parity tests")
from benchmarks import torch_reference  # noqa: E402  (needs PyTorch)


def _parity_case(kernels, size):
    """Return both networks with the same weights, images and cotangents."""
    torch.manual_seed(0)
    model = torch_reference.SuperRetina(kernels)
    kind = "large_kernel" if kernels else "superretina"
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    variables, options = convert(kind, state)
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(2, *size, 1)).astype(np.float32)
    theirs = model(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    cotangents = [rng.normal(size=y.shape).astype(np.float32) for y in theirs]
    return model, kind, variables["params"], options, x, theirs, cotangents


def _outputs(module, params, x):
    output = module.apply({"params": params}, x)
    return (
        output.heatmap[:, None],
        output.logits[:, None],
        output.descriptors.transpose(0, 3, 1, 2),
    )


@pytest.mark.parametrize("kernels", [(), (1, 3, 5), (1, 3, 5, 7)])
@pytest.mark.parametrize("size", [(64, 96)])
def test_outputs_and_gradients_equal_pytorch(kernels, size, monkeypatch):
    """Outputs in float32; gradients in float64.

    Where two values of a maximum all but tie, rounding alone sends a gradient
    elsewhere: PyTorch in float32 is up to 1e-3 off PyTorch in float64 here.
    """
    model, kind, params, options, x, theirs, cotangents = _parity_case(kernels, size)
    module = build(kind, **options)
    assert not kernels or module.kernels == kernels
    ours = jax.jit(lambda p, x: _outputs(module, p, x))(params, x)
    for y, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-4)

    model.double()
    outputs = model(torch.from_numpy(x.transpose(0, 3, 1, 2)).double())
    total = sum((y * torch.from_numpy(c)).sum() for y, c in zip(outputs, cotangents))
    (total / size[0]).backward()
    grads = {k: p.grad.numpy() for k, p in model.named_parameters()}
    expected, _ = convert(kind, grads)
    monkeypatch.setattr(options, "COMPUTE_DTYPES", ("float32", "float64"))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        precise = build(kind, **options, compute_dtype="float64")

        def loss(params):
            ours = _outputs(precise, params, jnp.asarray(x, jnp.float64))
            return sum(jnp.sum(y * c) for y, c in zip(ours, cotangents)) / size[0]

        start = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
        gradients = jax.device_get(jax.jit(jax.grad(loss))(start))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4, rtol=1e-4),
        gradients,
        expected["params"],
    )

"""Swin UNETR against MONAI with shared random weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rkd_jax.models import build
from rkd_jax.weights.convert import convert

torch = pytest.importorskip("torch", reason="PyTorch is an extra for parity tests")
pytest.importorskip("monai", reason="MONAI is an extra for parity tests")

from benchmarks import torch_reference  # noqa: E402  (needs PyTorch)

pytestmark = pytest.mark.filterwarnings("ignore")

FAST_COMPILE = {"xla_backend_optimization_level": 0}


@pytest.fixture(scope="module")
def pair():
    """MONAI's model with random weights, and ours with the same."""
    from monai.networks.nets import SwinUNETR

    torch.manual_seed(0)
    reference = SwinUNETR(1, 1, feature_size=24, spatial_dims=2, drop_rate=0.5).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    state = {k: v.numpy() for k, v in reference.state_dict().items()}
    variables, options = convert("monai_swin_unetr", state)
    return reference, build("swin_unetr", **options), variables


def _images(size):
    x = np.random.default_rng(0).uniform(size=(1, *size, 1)).astype(np.float32)
    return jnp.asarray(x), torch.from_numpy(x.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    "size", [(64, 64), (96, 96), (64, 224), (224, 224), (256, 256)]
)
def test_outputs_equal_monai(pair, size):
    reference, module, variables = pair
    x, tensor = _images(size)
    with torch.no_grad():
        theirs = torch_reference.swin_maps(reference, tensor)
        assert torch.equal(theirs["logits"], reference(tensor))
    apply = jax.jit(module.apply).lower(variables, x).compile(FAST_COMPILE)
    output = apply(variables, x)
    ours = output.intermediates | {"logits": output.logits[..., None]}
    assert output.descriptors is None
    for name, value in theirs.items():
        expected = value.numpy().transpose(0, 2, 3, 1)
        np.testing.assert_allclose(ours[name], expected, atol=1e-4, err_msg=name)


def test_gradients_equal_monai(pair):
    reference, module, variables = pair
    x, tensor = _images((96, 64))
    cotangent = np.random.default_rng(1).normal(size=(96, 64)).astype(np.float32) / 64
    reference.zero_grad()
    logits = torch_reference.swin_maps(reference, tensor)["logits"]
    (logits[0, 0] * torch.from_numpy(cotangent)).sum().backward()

    def gradient(variables, x, cotangent):
        def loss(variables):
            return jnp.sum(module.apply(variables, x).logits[0] * cotangent)

        return jax.grad(loss)(variables)

    operands = variables, x, cotangent
    ours = jax.jit(gradient).lower(*operands).compile(FAST_COMPILE)(*operands)
    theirs = {k: p.grad.numpy() for k, p in reference.named_parameters()}
    expected, _ = convert("monai_swin_unetr", theirs)

    def check(a, b):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max() + 2e-5)

    jax.tree.map(check, ours, expected)


def test_student_head_reads_dec2(pair):
    reference, _, _ = pair
    torch.manual_seed(1)
    head = torch.nn.Module()
    torch_reference.add_descriptor_head(head, 96)
    x = np.random.default_rng(1).uniform(size=(1, 64, 64, 1)).astype(np.float32)
    with torch.no_grad():
        y = torch_reference.swin_maps(
            reference, torch.from_numpy(x).reshape(1, 1, 64, 64)
        )
        y = torch_reference.describe(head, y["dec2"])
    both = reference.state_dict() | head.state_dict()
    variables, options = convert(
        "swin_student", {k: v.numpy() for k, v in both.items()}
    )
    module = build("swin_unetr", **options)

    def apply(variables, x):
        return module.apply(variables, x, heads=("descriptor",))

    operands = variables, jnp.asarray(x)
    output = jax.jit(apply).lower(*operands).compile(FAST_COMPILE)(*operands)
    assert output.heatmap is None
    expected = y.numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(output.descriptors, expected, atol=1e-4)

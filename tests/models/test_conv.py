"""The convolution and its weight gradient against plain XLA and SciPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax import lax

from rkd_jax.models import conv


def _operands(batch, height, width, c, f, size, dtype=jnp.float32):
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (batch, height, width, c)).astype(dtype)
    kernel = jax.random.normal(keys[1], (size, size, c, f)).astype(dtype)
    return x, kernel


def _xla(x, kernel, *, padding):
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        ((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _loss(convolve, x, kernel, *, padding):
    y = convolve(x, kernel, padding=padding).astype(jnp.float32)
    return jnp.sum(jnp.sin(y))


def _gradients(convolve, padding):
    return jax.grad(functools.partial(_loss, convolve, padding=padding), (0, 1))


def test_forward_equals_scipy_correlation():
    x, kernel = _operands(1, 9, 11, 2, 3, 3)
    ours = conv.conv2d(x, kernel, padding=1)
    for f in range(3):
        expected = sum(
            scipy.signal.correlate2d(x[0, ..., c], kernel[..., c, f], mode="same")
            for c in range(2)
        )
        np.testing.assert_allclose(ours[0, ..., f], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("batch", "height", "width", "c", "f", "size", "padding"),
    [
        (2, 40, 48, 8, 16, 3, 1),
        (1, 47, 53, 9, 8, 3, 1),
        (1, 40, 40, 8, 40, 5, 2),
        (1, 41, 37, 40, 8, 7, 3),
        (3, 40, 33, 8, 8, 1, 0),
        (1, 45, 44, 8, 8, 2, 0),
        (1, 45, 44, 8, 8, 3, 2),
        (1, 12, 12, 16, 16, 3, 1),
        (1, 48, 48, 1, 16, 3, 1),
        (1, 3, 400, 8, 8, 3, 1),
        (2, 5, 300, 8, 8, 5, 4),
        (1, 2, 600, 8, 8, 3, 1),
        (1, 4, 300, 8, 8, 3, 2),
    ],
)
def test_gradients_equal_xla(monkeypatch, batch, height, width, c, f, size, padding):
    monkeypatch.setattr(conv, "BLOCK_POSITIONS", 300)
    x, kernel = _operands(batch, height, width, c, f, size)
    ours = jax.jit(_gradients(conv.conv2d, padding))(x, kernel)
    plain = jax.jit(_gradients(_xla, padding))(x, kernel)
    for a, b in zip(ours, plain):
        np.testing.assert_allclose(a, b, atol=2e-6 * np.abs(b).max() + 1e-5)


def test_blocks_are_used_on_the_cpu():
    x, kernel = _operands(1, 40, 40, 8, 8, 3)
    text = jax.jit(_gradients(conv.conv2d, 1)).lower(x, kernel).as_text()
    assert "stablehlo.while" in text
    small = jax.jit(_gradients(conv.conv2d, 1)).lower(x[:, :8, :8], kernel).as_text()
    assert "stablehlo.while" not in small


def test_weight_gradient_agrees_with_finite_differences():
    x, kernel = _operands(1, 36, 34, 8, 8, 3)
    x, kernel = x * 0.1, kernel * 0.1
    direction = jax.random.normal(jax.random.key(2), kernel.shape)
    loss = functools.partial(_loss, conv.conv2d, padding=1)
    step = 1e-2
    numerical = (
        loss(x, kernel + step * direction) - loss(x, kernel - step * direction)
    ) / (2 * step)
    analytic = jnp.vdot(jax.grad(loss, 1)(x, kernel), direction)
    np.testing.assert_allclose(analytic, numerical, rtol=2e-3)


def test_vmap_equals_a_loop():
    x, kernel = _operands(3, 34, 34, 8, 8, 3)
    gradients = _gradients(conv.conv2d, 1)
    xs = x[:, None]
    both = jax.vmap(gradients, (0, None))(xs, kernel)
    loop = [gradients(one, kernel) for one in xs]
    for a, b in zip(both, zip(*loop)):
        np.testing.assert_allclose(a, jnp.stack(b), atol=2e-4)


def test_pmap_equals_one_device():
    x, kernel = _operands(2, 34, 34, 8, 8, 3)

    def sharded(one, kernel):
        return lax.psum(_gradients(conv.conv2d, 1)(one[None], kernel)[1], "data")

    total = jax.pmap(sharded, axis_name="data", in_axes=(0, None))(x, kernel)[0]
    whole = _gradients(conv.conv2d, 1)(x, kernel)[1]
    np.testing.assert_allclose(total, whole, atol=1e-3)


def test_bfloat16_sums_in_float32():
    x, kernel = _operands(1, 40, 40, 8, 8, 3, jnp.bfloat16)
    g = jax.random.normal(jax.random.key(3), x.shape).astype(jnp.bfloat16)
    ours = conv.weight_gradient(x, g, size=3, padding=1)
    exact = conv.weight_gradient(
        x.astype(jnp.float32), g.astype(jnp.float32), size=3, padding=1
    )
    assert ours.dtype == jnp.bfloat16
    np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=2**-8)
    dx, dk = _gradients(conv.conv2d, 1)(x, kernel)
    assert dx.dtype == dk.dtype == jnp.bfloat16


def test_too_much_padding_is_refused():
    x, kernel = _operands(1, 8, 8, 2, 2, 3)
    with pytest.raises(ValueError, match=r"padding is 3; expected 0\.\.2"):
        conv.conv2d(x, kernel, padding=3)

"""Two-dimensional convolution whose weight gradient is fast on a CPU too.

XLA's CPU backend computes forward pass and input gradient of a convolution near the
rate of a matrix product, but its weight gradient several times slower. On a CPU we
compute that one as matrix products over blocks of rows; elsewhere XLA does it.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

BLOCK_POSITIONS = 2048
"""Output positions summed in one step: their operands fit into the cache."""

SMALL_MAP = 1024
"""Up to this many output positions XLA's own weight gradient is used."""


def conv2d(x: jax.Array, kernel: jax.Array, *, padding: int = 0) -> jax.Array:
    """Convolve (correlate) images with a square kernel at stride 1.

    The same values as `jax.lax.conv_general_dilated`, with first-order reverse-mode
    gradients equal up to rounding. Sums of the weight gradient are in float32.

    Args:
        x: `[B, H, W, C]`, float32 or bfloat16.
        kernel: `[k, k, C, F]` of the same dtype.
        padding: Zeros added on every side, at most `k - 1`.

    Returns:
        `[B, H + 2 * padding - k + 1, W + 2 * padding - k + 1, F]`.

    Raises:
        ValueError: The padding is not in 0..k-1.

    >>> conv2d(jnp.ones((1, 5, 5, 1)), jnp.ones((3, 3, 1, 2)), padding=1).shape
    (1, 5, 5, 2)
    """
    if not 0 <= padding < kernel.shape[0]:
        raise ValueError(
            f"padding is {padding}; expected 0..{kernel.shape[0] - 1} for a kernel "
            f"of {kernel.shape[0]}"
        )
    return _conv(x, kernel, padding)


def _plain(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1, 1),
        padding=((padding, padding), (padding, padding)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    return _plain(x, kernel, padding)


def _forward(x, kernel, padding):
    return _plain(x, kernel, padding), (x, kernel)


def _backward(padding, saved, gradient):
    x, kernel = saved
    (dx,) = jax.linear_transpose(lambda y: _plain(y, kernel, padding), x)(gradient)
    size = kernel.shape[0]
    dk = lax.platform_dependent(
        x,
        gradient,
        cpu=functools.partial(_cpu_weight_gradient, size=size, padding=padding),
        default=functools.partial(_xla_weight_gradient, size=size, padding=padding),
    )
    return dx, dk


_conv.defvjp(_forward, _backward)


def _xla_weight_gradient(x, gradient, *, size, padding):
    """Return what XLA computes for the weight gradient."""
    shape = (size, size, x.shape[-1], gradient.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda k: _plain(x, k, padding), kernel)(gradient)[0]


def _cpu_weight_gradient(x, gradient, *, size, padding):
    """Choose the faster way on a CPU; XLA does well with small maps and few channels.

    Measured with float32 on two machines, 3x3 to 7x7 kernels, 1 to 384 channels.
    """
    (_, height, width, f), c = gradient.shape, x.shape[-1]
    small = height * width <= SMALL_MAP or x.shape[1] < size
    if small or min(c, f) < 8:
        return _xla_weight_gradient(x, gradient, size=size, padding=padding)
    return weight_gradient(x, gradient, size=size, padding=padding)


def weight_gradient(
    x: jax.Array, gradient: jax.Array, *, size: int, padding: int
) -> jax.Array:
    """Return the weight gradient of `conv2d` by blocks of rows of the output.

    One step takes a block of rows, puts its `size` column shifts side by side on the
    channels, and adds one matrix product a row shift to the sum: nothing is copied
    `size**2` times. It is the gradient that is shifted, not the input, because its
    rows can be lengthened by zeros.

    Args:
        x: Input `[B, H, W, C]` of the convolution, H at least k.
        gradient: Gradient `[B, H', W', F]` of its output.
        size: Side k of the kernel.
        padding: Zeros added on every side.

    Returns:
        `[k, k, C, F]` in the dtype of `x`.
    """
    (batch, high, _, c), (_, height, width, f) = x.shape, gradient.shape
    if size == 1:
        inputs, outputs = (_flat(y).astype(jnp.float32) for y in (x, gradient))
        return jnp.matmul(inputs.T, outputs).reshape(1, 1, c, f).astype(x.dtype)
    reach, columns = size - 1, width + size - 1
    bands = -(-height // max(1, BLOCK_POSITIONS // width))
    rows = min(-(-height // bands), high - reach)
    bands = -(-height // rows)

    def step(total, index):
        # The last band begins early enough to be whole, and leaves out what was summed.
        image, due = index // bands, rows * (index % bands)
        row = jnp.minimum(due, height - rows)
        new = (row + jnp.arange(rows) >= due)[:, None, None]
        outputs = lax.dynamic_slice(gradient, (image, row, 0, 0), (1, rows, width, f))[
            0
        ].astype(jnp.float32)
        outputs = jnp.pad(
            jnp.where(new, outputs, 0.0), ((0, 0), (reach, reach), (0, 0))
        )
        # Zeros are put around a block: around the image they would take a copy of it.
        first = jnp.clip(row - padding, 0, high - rows - reach)
        inputs = lax.dynamic_slice(
            x, (image, first, 0, 0), (1, rows + reach, x.shape[2], c)
        )[0].astype(jnp.float32)
        inputs = jnp.pad(inputs, ((reach, reach), (padding, padding), (0, 0)))
        start = row - padding - first + reach
        inputs = lax.dynamic_slice(inputs, (start, 0, 0), (rows + reach, columns, c))
        shifts = [outputs[:, i : i + columns] for i in reversed(range(size))]
        outputs = _flat(jnp.concatenate(shifts, axis=-1))
        # XLA has its fast product for a left side stored in rows only. The barrier
        # keeps it from transposing anew for each shift.
        inputs = lax.optimization_barrier(_flat(inputs).T)
        starts = [i * columns for i in range(size)]
        products = [
            jnp.matmul(inputs[:, i : i + rows * columns], outputs) for i in starts
        ]
        return total + jnp.stack(products), None

    total = jnp.zeros((size, c, size * f), jnp.float32)
    total, _ = lax.scan(step, total, jnp.arange(batch * bands))
    total = total.reshape(size, c, size, f).transpose(0, 2, 1, 3)
    return total.astype(x.dtype)


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])

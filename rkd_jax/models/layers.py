"""Building blocks shared by the models: NHWC, float32 parameters, torch defaults.

Every layer keeps its parameters in float32 and computes in `dtype`. Kernels and
biases start as PyTorch's do: uniform in ±1/sqrt(fan_in).
"""

import functools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.models.conv import conv2d

HEADS = ("detector", "descriptor")
COMPUTE_DTYPES = ("float32", "bfloat16")


@flax.struct.dataclass
class ModelOutput:
    """What a model returns; a head that was not asked for is None.

    Attributes:
        heatmap: `[B, H, W]` float32 in 0..1 (`[B, H, W, K]` for K > 1 outputs).
        logits: The same before the sigmoid.
        descriptors: `[B, h, w, D]` float32 of the padded input, not of unit norm:
            normalize after sampling.
        intermediates: Named feature maps in the compute dtype.
    """

    heatmap: jax.Array | None
    logits: jax.Array | None
    descriptors: jax.Array | None
    intermediates: dict[str, jax.Array]


EPSILON = 1e-5
"""Added to a variance before its root is taken."""


def _mix(x: jax.Array) -> jax.Array:
    """Permute the 32-bit numbers so that every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def random_bits(words: Sequence[jax.Array], count: int) -> jax.Array:
    """Hash the numbers 0 .. count-1 with the words of a key: uint32 `[count]`.

    The words become two seeds, and each number passes two rounds with these. For
    initial weights and dropout masks that is random enough, runs faster than the
    generators of `jax.random` and, above all, compiles faster: a model needs a
    hundred draws, and threefry takes XLA's CPU backend a quarter of a second each.

    Args:
        words: Scalars uint32; other words give other, unrelated bits.
        count: How many numbers.

    Source: round "lowbias32" of C. Wellons, "Prospecting for hash functions" (2018).
    """
    seed0, seed1 = jnp.uint32(0x9E3779B9), jnp.uint32(0x85EBCA6B)
    for word in words:
        seed0 = _mix(_mix(seed0 ^ word) + 1)
        seed1 = _mix(_mix(seed1 + word) ^ seed0)
    seeds = jnp.stack([seed0, seed1])
    # A loop, because XLA fuses plain operations into every consumer of the bits: the
    # Swin UNETR's training step then takes minutes to compile instead of seconds.
    return jax.lax.fori_loop(
        0, 2, lambda i, x: _mix(x ^ seeds[i]), jax.lax.iota(jnp.uint32, count)
    )


def uniform_fan_in(fan_in: int) -> Callable[..., jax.Array]:
    """Return an initializer that draws uniformly in ±1/sqrt(fan_in)."""

    def init(key, shape, dtype=jnp.float32):
        bits = random_bits(jax.random.key_data(key), math.prod(shape))
        unit = (bits >> 8).astype(dtype) * 2.0**-23 - 1.0
        return (unit * fan_in**-0.5).reshape(shape)

    return init


def add_bias(x: jax.Array, bias: jax.Array) -> jax.Array:
    """Add `bias [C]` to `x [..., C]` in the dtype of `x`."""
    return x + bias.astype(x.dtype).reshape((1,) * (x.ndim - 1) + (-1,))


def instance_norm(x: jax.Array) -> jax.Array:
    """Normalize each image and channel of `[B, H, W, C]` over its pixels."""
    y = x.astype(jnp.float32)
    y = y - jnp.mean(y, axis=(1, 2), keepdims=True)
    variance = jnp.mean(y * y, axis=(1, 2), keepdims=True)
    return (y * jax.lax.rsqrt(variance + EPSILON)).astype(x.dtype)


def after_norm(
    activation: Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
    """Return the activation of what `instance_norm` gives."""
    return lambda x: activation(instance_norm(x))


def check_norm(norm: str) -> None:
    """Raise ValueError unless the normalization is known."""
    if norm not in ("none", "instance"):
        raise ValueError(f"norm is {norm!r}; expected none or instance")


class Conv(nn.Module):
    """Convolution at stride 1; `padding` zeros on every side.

    Attributes:
        features: Number of output channels.
        size: Side of the square kernel.
        padding: Zeros added on each side; None keeps the size of an odd kernel.
        use_bias: Whether a bias is added.
        dtype: Compute dtype.
    """

    features: int
    size: int = 3
    padding: int | None = None
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, H', W', features]`."""
        init = uniform_fan_in(self.size**2 * x.shape[-1])
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", init, shape).astype(self.dtype)
        padding = self.size // 2 if self.padding is None else self.padding
        x = conv2d(x.astype(self.dtype), kernel, padding=padding)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x


def space_to_depth(x: jax.Array) -> jax.Array:
    """Move 2x2 cells to channels: `[B, 2h, 2w, C]` to `[B, h, w, 4C]`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


class StridedConv(nn.Module):
    """Convolution with an even kernel at stride 2 without padding.

    Computed as a convolution at stride 1 of 2x2 cells moved to channels, which has
    fast gradients on every platform. Both sides of the input must be even.
    """

    features: int
    size: int = 4
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, (H-size)/2+1, (W-size)/2+1, features]`."""
        c, half = x.shape[-1], self.size // 2
        init = uniform_fan_in(self.size**2 * c)
        kernel = self.param("kernel", init, (self.size, self.size, c, self.features))
        kernel = kernel.reshape(half, 2, half, 2, c, self.features)
        kernel = kernel.transpose(0, 2, 1, 3, 4, 5)
        kernel = kernel.reshape(half, half, 4 * c, self.features).astype(self.dtype)
        x = conv2d(space_to_depth(x.astype(self.dtype)), kernel)
        return add_bias(x, self.param("bias", init, (self.features,)))


class TransposedConv(nn.Module):
    """2x2 transposed convolution at stride 2 as a product and depth-to-space.

    `out[2i+a, 2j+b] = in[i, j] @ kernel[:, a, b]`; the kernel is `[C, 2, 2, features]`.
    """

    features: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, h, w, C]` to `[B, 2h, 2w, features]`."""
        b, h, w, c = x.shape
        init = uniform_fan_in(4 * self.features)
        kernel = self.param("kernel", init, (c, 2, 2, self.features))
        kernel = kernel.astype(self.dtype).reshape(c, -1)
        x = jnp.matmul(x.astype(self.dtype).reshape(-1, c), kernel)
        x = x.reshape(b, h, w, 2, 2, self.features).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(b, 2 * h, 2 * w, self.features)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x


class Dense(nn.Module):
    """Linear map of the last axis."""

    features: int
    use_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[..., C]` to `[..., features]`."""
        c = x.shape[-1]
        init = uniform_fan_in(c)
        kernel = self.param("kernel", init, (c, self.features)).astype(self.dtype)
        lead = x.shape[:-1]
        x = jnp.matmul(x.astype(self.dtype).reshape(-1, c), kernel)
        if self.use_bias:
            x = add_bias(x, self.param("bias", init, (self.features,)))
        return x.reshape(*lead, self.features)


class Dropout(nn.Module):
    """Drop elements with draws that depend on the example, not on the batch.

    The mask of example `i` comes from the key and `example_ids[i]` alone, so that
    any split of a batch over devices gives the same masks. `rate` is rounded to a
    multiple of 1/256: eight random bits an element.
    """

    rate: float

    def __call__(
        self, x: jax.Array, example_ids: jax.Array, *, train: bool
    ) -> jax.Array:
        """Map `[B, ...]` to the same shape, scaled so that the mean is kept."""
        dropped = round(self.rate * 256)
        if not train or dropped == 0:
            return x
        words = jax.random.key_data(self.make_rng("dropout"))
        shape = x.shape[1:]
        count = math.prod(shape)

        def keep(example_id):
            bits = random_bits([*words, example_id], -(-count // 4))
            lanes = jax.lax.bitcast_convert_type(bits, jnp.uint8).reshape(-1)
            return lanes[:count].reshape(shape) >= jnp.uint8(dropped)

        kept = jax.vmap(keep)(example_ids.astype(jnp.uint32))
        scale = 256 / (256 - dropped)
        return jnp.where(kept, x * scale, jnp.zeros_like(x))


def max_pool(x: jax.Array) -> jax.Array:
    """Take the maximum of 2x2 cells: `[B, 2h, 2w, C]` to `[B, h, w, C]`.

    Equal largest values share the gradient. Several times faster backwards on a CPU
    than `flax.linen.max_pool`.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c)
    x = jnp.maximum(x[:, :, 0], x[:, :, 1])
    return jnp.maximum(x[:, :, :, 0], x[:, :, :, 1])


Place = tuple[tuple[jax.Array | int, int], tuple[jax.Array | int, int]]
"""Where a map lies in a larger one: (start, size of the whole) of rows and columns."""


def _double(x: jax.Array, axis: int, start: jax.Array | int, whole: int) -> jax.Array:
    """Double one axis; output i reads the input at i * (n - 1) / (2n - 1)."""
    n = x.shape[axis]
    shape = [n if i == axis else 1 for i in range(x.ndim)]
    k = (start + jnp.arange(n)).astype(jnp.float32).reshape(shape)
    before = (k / (2 * whole - 1)).astype(x.dtype)
    after = ((whole - 1 - k) / (2 * whole - 1)).astype(x.dtype)
    cut = functools.partial(jax.lax.slice_in_dim, x, axis=axis)
    previous = jnp.concatenate([cut(0, 1), cut(0, n - 1)], axis)
    following = jnp.concatenate([cut(1, n), cut(n - 1, n)], axis)
    even = x + before * (previous - x)
    odd = x + after * (following - x)
    both = jnp.stack([even, odd], axis + 1)
    return both.reshape(*x.shape[:axis], 2 * n, *x.shape[axis + 1 :])


def upsample(x: jax.Array, place: Place | None = None) -> jax.Array:
    """Double both sides bilinearly with aligned corners: `[B, h, w, C]`.

    With aligned corners the weights depend on the place in the map; `place` tells it
    for a tile.

    Source: `torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)`.
    `jax.image.resize` uses half-pixel centers instead and does not match.
    """
    rows, columns = place or ((0, x.shape[1]), (0, x.shape[2]))
    return _double(_double(x, 1, *rows), 2, *columns)


class DescriptorHead(nn.Module):
    """Descriptor map of half the resolution of its input and back again.

    Convolution 3x3, ReLU, 4x4 at stride 2 without padding, ReLU, 1x1, unit norm,
    then a 2x2 transposed convolution: n cells a side (n even) become n - 2.

    Source: SuperRetina (Liu et al., ECCV 2022), descriptor decoder. We return 0
    where the vector to normalize is 0, with zero gradient, instead of NaN.
    """

    features: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: jax.Array, activation: Callable[[jax.Array], jax.Array] = nn.relu
    ) -> jax.Array:
        """Map `[B, n, m, C]` to `[B, n - 2, m - 2, features]` float32."""
        options = {"dtype": self.dtype}
        x = activation(Conv(self.features, name="conv_a", **options)(x))
        x = activation(StridedConv(self.features, name="conv_b", **options)(x))
        x = Conv(self.features, 1, name="conv_c", **options)(x).astype(jnp.float32)
        square = jnp.sum(x * x, axis=-1, keepdims=True)
        scale = jax.lax.rsqrt(jnp.maximum(square, 1e-24))
        x = x * jnp.where(square > 1e-24, scale, jnp.zeros_like(scale))
        x = TransposedConv(self.features, name="expand", **options)(x)
        return x.astype(jnp.float32)


def check_heads(heads: tuple[str, ...]) -> None:
    """Raise ValueError unless every name is a head."""
    unknown = sorted(set(heads) - set(HEADS))
    if unknown:
        raise ValueError(f"unknown heads {unknown}; known: {list(HEADS)}")


def detector_count(asked: int | None, images: int) -> int:
    """Return for how many leading images of a batch the detector is computed.

    Raises:
        ValueError: Not in 1..images.
    """
    count = images if asked is None else asked
    if not 1 <= count <= images:
        raise ValueError(
            f"detector_images is {asked}; expected 1..{images}, the batch size "
            '(for none, leave "detector" out of heads)'
        )
    return count


def pad_images(
    images: jax.Array, *, channels: int, divisor: int, minimum: int
) -> jax.Array:
    """Zero-pad `[B, H, W, C]` at the right and bottom to the sizes a model takes.

    Raises:
        ValueError: The array is not `[B, H, W, channels]` or has an empty side.
    """
    if images.ndim != 4 or images.shape[-1] != channels or 0 in images.shape:
        raise ValueError(
            f"images have shape {images.shape}; expected [B, H, W, {channels}] with "
            "no empty axis: add the batch and channel axes or set in_channels"
        )
    sides = [max(minimum, -(-n // divisor) * divisor) for n in images.shape[1:3]]
    extra = [(0, side - n) for side, n in zip(sides, images.shape[1:3])]
    return jnp.pad(images, ((0, 0), *extra, (0, 0)))


def finish_detector(
    logits: jax.Array, height: int, width: int
) -> tuple[jax.Array, jax.Array]:
    """Crop logits `[B, H', W', K]`; return heatmap and logits in float32."""
    logits = logits[:, :height, :width].astype(jnp.float32)
    if logits.shape[-1] == 1:
        logits = logits[..., 0]
    return nn.sigmoid(logits), logits


def check_positive(module: nn.Module, *names: str) -> None:
    """Raise ValueError unless the named options are whole numbers above zero."""
    for name in names:
        value = getattr(module, name)
        values = value if isinstance(value, tuple) else (value,)
        if not values or not all(isinstance(v, int) and v > 0 for v in values):
            raise ValueError(f"{name} is {value!r}; expected whole numbers above zero")


def check_dimension(value: int) -> None:
    """Raise ValueError unless `descriptor_dim` is a whole number from zero."""
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"descriptor_dim is {value!r}; expected 0 (no head) or more")


def compute_dtype(name: str) -> jnp.dtype:
    """Return the dtype of a `compute_dtype` option; ValueError if unknown."""
    if name not in COMPUTE_DTYPES:
        raise ValueError(
            f"compute_dtype is {name!r}; expected one of {list(COMPUTE_DTYPES)}"
        )
    return jnp.dtype(name)

"""Random draws of the models: bits that depend on no device, initial weights, dropout.

Kernels and biases start as PyTorch's do: uniform in ±1/sqrt(fan_in).
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np


def _mix(x: jax.Array) -> jax.Array:
    """Permute the 32-bit numbers so that every input bit reaches every output bit."""
    x = (x ^ (x >> 16)) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * np.uint32(0x846CA68B)
    return x ^ (x >> 16)


def random_bits(words: Sequence[jax.Array], count: int) -> jax.Array:
    """Hash the numbers 0 .. count-1 with the words of a key: uint32 `[count]`.

    The words become two seeds, and each number passes two rounds with these. That is
    random enough for initial weights and dropout masks. The bits depend on no device
    and no version of XLA, as those of JAX's "rbg" keys do, and compile faster than
    either generator of JAX: the start of a Swin UNETR 12 s, with "rbg" 15 s, with
    threefry 29 s (one CPU core).

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

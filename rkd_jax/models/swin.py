"""Swin encoder in two dimensions: window attention on a shrinking token grid."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.models import layers
from rkd_jax.models.draws import Dropout
from rkd_jax.models.norms import LayerNorm, layer_norm

MASKED = -100.0


def relative_position_index(window: int) -> np.ndarray:
    """Return the row of the bias table for each pair of tokens of a square window.

    Tokens are numbered row by row. Shape `[window**2, window**2]`, int64.

    >>> relative_position_index(2).tolist()
    [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    """
    y, x = np.divmod(np.arange(window**2), window)
    dy = y[:, None] - y[None, :] + window - 1
    dx = x[:, None] - x[None, :] + window - 1
    return dy * (2 * window - 1) + dx


def window_layout(
    grid: tuple[int, int], window_size: int, *, shifted: bool
) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Return window, shift and padding, each (rows, columns), of a token grid.

    On an axis no longer than `window_size` the window is the axis itself, unshifted.
    """
    window = tuple(min(n, window_size) for n in grid)
    shift = tuple(window_size // 2 if shifted and n > window_size else 0 for n in grid)
    padding = tuple(-n % w for n, w in zip(grid, window))
    return window, shift, padding


def region_ids(
    grid: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]
) -> np.ndarray:
    """Number the regions that a cyclic shift brings together: `[windows, tokens]`.

    Tokens of a window attend to each other only where their numbers agree.
    """
    axes = []
    for n, w, s in zip(grid, window, shift):
        i = np.arange(n)
        axes.append((i >= n - w).astype(np.int32) + (i >= n - s) if s else 0 * i)
    ids = 3 * axes[0][:, None] + axes[1][None, :]
    (h, w), (wh, ww) = grid, window
    ids = ids.reshape(h // wh, wh, w // ww, ww).transpose(0, 2, 1, 3)
    return ids.reshape(-1, wh * ww).astype(np.int32)


def window_attention(
    qkv: jax.Array, bias: jax.Array, regions: np.ndarray | None
) -> jax.Array:
    """Let the tokens of each window attend to each other.

    Args:
        qkv: queries, keys and values `[B, windows, N, 3, heads, width]`.
        bias: `[heads, N, N]` float32, added to the logits of query and key.
        regions: `[windows, N]` from `region_ids`, or None: one region.

    Returns:
        `[B, windows, N, heads, width]` in the dtype of `qkv`.
    """
    q, k, v = (qkv[..., i, :, :] for i in range(3))
    logits = jnp.einsum("bwqhd,bwkhd->bwhqk", q * q.shape[-1] ** -0.5, k)
    logits = logits.astype(jnp.float32) + bias[None, None]
    if regions is not None:
        ids = jnp.asarray(regions)
        apart = ids[:, :, None] != ids[:, None, :]
        mask = jnp.where(apart, MASKED, 0.0).astype(jnp.float32)
        logits = logits + mask[None, :, None]
    weights = nn.softmax(logits, axis=-1).astype(qkv.dtype)
    return jnp.einsum("bwhqk,bwkhd->bwqhd", weights, v)


class WindowAttention(nn.Module):
    """Multi-head attention inside windows with a relative position bias."""

    num_heads: int
    window_size: int
    qkv_bias: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, regions: np.ndarray | None) -> jax.Array:
        """Map tokens `[B, windows, N, C]`; `regions` is `[windows, N]` or None."""
        batch, windows, n, c = x.shape
        heads, width = self.num_heads, c // self.num_heads
        qkv = layers.Dense(3 * c, self.qkv_bias, name="qkv", dtype=self.dtype)(x)
        qkv = qkv.reshape(batch, windows, n, 3, heads, width)
        table = self.param(
            "relative_position_bias_table",
            nn.initializers.truncated_normal(0.02),
            ((2 * self.window_size - 1) ** 2, heads),
        )
        # MONAI takes the corner of the full-window index for smaller windows.
        index = relative_position_index(self.window_size)[:n, :n]
        bias = table[index.reshape(-1)].reshape(n, n, heads).transpose(2, 0, 1)
        # Logits and weights are the largest arrays of the encoder: they are computed
        # again for the gradient instead of kept.
        recomputed = jax.checkpoint(
            functools.partial(window_attention, regions=regions)
        )
        x = recomputed(qkv, bias).reshape(batch, windows, n, c)
        return layers.Dense(c, name="proj", dtype=self.dtype)(x)


class SwinBlock(nn.Module):
    """Transformer block on a token grid: window attention, then an MLP."""

    num_heads: int
    window_size: int
    shifted: bool
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    drop_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32

    def _attend(self, x: jax.Array) -> jax.Array:
        """Pad, shift, split into windows, attend, and undo it: `[B, H, W, C]`."""
        batch, height, width, c = x.shape
        window, shift, padding = window_layout(
            (height, width), self.window_size, shifted=self.shifted
        )
        x = jnp.pad(x, ((0, 0), (0, padding[0]), (0, padding[1]), (0, 0)))
        grid = x.shape[1:3]
        regions = None
        if any(shift):
            x = jnp.roll(x, (-shift[0], -shift[1]), (1, 2))
            regions = region_ids(grid, window, shift)
        rows, columns = grid[0] // window[0], grid[1] // window[1]
        x = x.reshape(batch, rows, window[0], columns, window[1], c)
        x = x.transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(batch, rows * columns, window[0] * window[1], c)
        x = WindowAttention(
            self.num_heads,
            self.window_size,
            self.qkv_bias,
            name="attention",
            dtype=self.dtype,
        )(x, regions)
        x = x.reshape(batch, rows, columns, window[0], window[1], c)
        x = x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *grid, c)
        if any(shift):
            x = jnp.roll(x, shift, (1, 2))
        return x[:, :height, :width]

    @nn.compact
    def __call__(
        self, x: jax.Array, example_ids: jax.Array, *, train: bool
    ) -> jax.Array:
        """Map `[B, H, W, C]` to the same shape."""
        c = x.shape[-1]
        y = self._attend(LayerNorm(name="norm1")(x))
        x = x + Dropout(self.drop_rate)(y, example_ids, train=train)
        y = LayerNorm(name="norm2")(x)
        y = layers.Dense(int(c * self.mlp_ratio), name="linear1", dtype=self.dtype)(y)
        # Its inner terms are not kept for the gradient: less memory, as fast on a CPU.
        y = jax.checkpoint(functools.partial(nn.gelu, approximate=False))(y)
        y = Dropout(self.drop_rate)(y, example_ids, train=train)
        y = layers.Dense(c, name="linear2", dtype=self.dtype)(y)
        return x + Dropout(self.drop_rate)(y, example_ids, train=train)


class PatchMerging(nn.Module):
    """Halve the grid and double the channels."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map `[B, H, W, C]` to `[B, ceil(H/2), ceil(W/2), 2C]`."""
        c, height, width = x.shape[-1], x.shape[1] % 2, x.shape[2] % 2
        x = jnp.pad(x, ((0, 0), (0, height), (0, width), (0, 0)))
        parts = [x[:, i::2, j::2] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
        x = LayerNorm(name="norm")(jnp.concatenate(parts, axis=-1))
        return layers.Dense(2 * c, False, name="reduction", dtype=self.dtype)(x)


class SwinTransformer(nn.Module):
    """Swin encoder: five hidden states at 1/2 .. 1/32 of the resolution.

    It is the encoder of `SwinUnetr` (there under the name `encoder`) and can be used
    and trained alone. Image sides must be even.

    Attributes:
        feature_size: Channels F of the first stage.
        depths, num_heads: Blocks and attention heads of each stage.
        window_size: Side of an attention window in tokens.
        mlp_ratio, qkv_bias: Of the transformer blocks.
        drop_rate: Dropout after patch embedding, attention projection and in MLPs.
        compute_dtype: "float32" or "bfloat16".

    Source: MONAI 1.6.1 `SwinTransformer` with `normalize=True`, no path dropout.
    """

    feature_size: int = 24
    depths: tuple[int, ...] = (2, 2, 2, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    drop_rate: float = 0.5
    compute_dtype: str = "float32"

    @nn.compact
    def __call__(
        self,
        images: jax.Array,
        *,
        train: bool = False,
        example_ids: jax.Array | None = None,
    ) -> list[jax.Array]:
        """Return h0 .. h4 of `[B, H, W, C]`, each `[B, H/2^(i+1), ., F * 2^i]`."""
        dtype = jnp.dtype(self.compute_dtype)
        if example_ids is None:
            example_ids = jnp.arange(images.shape[0])
        embed = layers.StridedConv(
            self.feature_size, 2, name="patch_embed", dtype=dtype
        )
        x = embed(images.astype(dtype))
        x = Dropout(self.drop_rate)(x, example_ids, train=train)
        states = [layer_norm(x)]
        for stage, (depth, heads) in enumerate(zip(self.depths, self.num_heads), 1):
            for block in range(depth):
                x = SwinBlock(
                    heads,
                    self.window_size,
                    block % 2 == 1,
                    self.mlp_ratio,
                    self.qkv_bias,
                    self.drop_rate,
                    dtype,
                    name=f"stage{stage}_block{block}",
                )(x, example_ids, train=train)
            x = PatchMerging(dtype, name=f"stage{stage}_merge")(x)
            states.append(layer_norm(x))
        return states

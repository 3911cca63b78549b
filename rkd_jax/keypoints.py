"""Keypoints of one image: suppression, detection, descriptor sampling.

Sets have a fixed size and a mask, so that all of it runs under `jax.jit` and
`jax.vmap`. Nothing here passes gradients to a heatmap.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from rkd_jax.geometry.homography import Size
from rkd_jax.geometry.warp import sample

Array = jax.Array

SUPPRESSIONS = ("one_round", "two_round")
GRIDS = ("aligned", "upstream")


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("xy", "scores", "mask", "descriptors"),
    meta_fields=(),
)
@dataclasses.dataclass(frozen=True)
class Keypoints:
    """A fixed number K of keypoints; rows where `mask` is False mean nothing.

    Attributes:
        xy: `[K, 2]` float32 positions (x, y) in px.
        scores: `[K]` float32, best first; 0 where masked out.
        mask: `[K]` bool.
        descriptors: `[K, D]` float32 of unit norm, or None.
    """

    xy: Array
    scores: Array
    mask: Array
    descriptors: Array | None = None

    def replace(self, **changes: Any) -> Keypoints:
        """Return a copy with other arrays."""
        return dataclasses.replace(self, **changes)


def _axis_max(values: Array, radius: int, axis: int) -> Array:
    """Return the running maximum over 2 radius + 1 pixels of one axis.

    Windows double until two of them cover the one asked for, so that the cost grows
    with the logarithm of the radius.
    """
    floating = jnp.issubdtype(values.dtype, jnp.floating)
    lowest = -jnp.inf if floating else jnp.iinfo(values.dtype).min
    frame = [(radius, radius) if i == axis else (0, 0) for i in range(2)]
    values = jnp.pad(values, frame, constant_values=lowest)

    def with_shifted(values: Array, shift: int) -> Array:
        count = values.shape[axis] - shift
        here = jax.lax.slice_in_dim(values, 0, count, axis=axis)
        there = jax.lax.slice_in_dim(values, shift, shift + count, axis=axis)
        return jnp.maximum(here, there)

    side, span = 2 * radius + 1, 1
    while 2 * span <= side:
        values = with_shifted(values, span)
        span *= 2
    return with_shifted(values, side - span) if span < side else values


def _window_max(values: Array, radius: int) -> Array:
    """Return the maximum over the (2 radius + 1)^2 window at each pixel."""
    return _axis_max(_axis_max(values, radius, 0), radius, 1)


def _one_round(scores: Array, radius: int) -> Array:
    """Tell which pixels are window maxima, the first in raster order of ties."""
    height, width = scores.shape
    best = scores == _window_max(scores, radius)
    earliness = -jnp.arange(height * width, dtype=jnp.int32).reshape(height, width)
    earliness = jnp.where(best, earliness, jnp.iinfo(jnp.int32).min)
    return best & (earliness == _window_max(earliness, radius))


def _two_round(scores: Array, radius: int) -> Array:
    """Tell which pixels are maxima, after two rounds of recovery."""
    kept = scores == _window_max(scores, radius)
    for _ in range(2):
        covered = _window_max(kept.astype(jnp.int32), radius) > 0
        rest = jnp.where(covered, 0.0, scores)
        kept = kept | ((rest == _window_max(rest, radius)) & ~covered)
    return kept


def suppress(scores: Array, radius: int, *, method: str = "one_round") -> Array:
    """Set everything but local maxima to 0.

    Args:
        scores: `[H, W]` float, 0 or more.
        radius: no two kept pixels are nearer than this in both x and y, in px
            (save for ties under "two_round").
        method: "one_round" keeps the maxima of the (2 radius + 1)^2 window; of
            equal ones within a window only the first in raster order, so that
            the result is deterministic. "two_round" is SuperPoint's rule: two more
            rounds recover pixels that only non-maxima suppressed; ties survive.

    Returns:
        `[H, W]` float32.

    Raises:
        ValueError: unknown method, or `scores` is not `[H, W]`.

    Example:
        >>> import jax.numpy as jnp
        >>> row = jnp.array([[0.9, 0.5, 0.3, 0.4, 0.4]])
        >>> [round(v, 1) for v in suppress(row, 1)[0].tolist()]
        [0.9, 0.0, 0.0, 0.4, 0.0]

    Source: docs/paper/specification.md §5, quirk 13; upstream's later release breaks
    ties at random instead.
    """
    scores = jnp.asarray(scores, jnp.float32)
    if scores.ndim != 2:
        raise ValueError(f"scores has shape {scores.shape}; expected [H, W]")
    if method == "one_round":
        kept = _one_round(scores, radius)
    elif method == "two_round":
        kept = _two_round(scores, radius)
    else:
        raise ValueError(f"unknown suppression {method!r}; known: {SUPPRESSIONS}")
    return jnp.where(kept, scores, 0.0)


def within_border(
    size: tuple[int, int], border: int, valid_size: Size | None = None
) -> Array:
    """Tell which pixels keep `border` px from the edge of the valid region.

    Args:
        size: (height, width) of the array, static.
        border: margin in px.
        valid_size: (height, width) of the valid top-left region, numbers or traced
            scalars; default all of it.

    Returns:
        `[H, W]` bool, `border <= x < w - border` and the same for y.
    """
    height, width = size if valid_size is None else valid_size
    rows, columns = jnp.arange(size[0]), jnp.arange(size[1])
    in_rows = (rows >= border) & (rows < height - border)
    in_columns = (columns >= border) & (columns < width - border)
    return in_rows[:, None] & in_columns[None, :]


def _refine(heatmap: Array, x: Array, y: Array) -> tuple[Array, Array]:
    """Move integer maxima to the peak of a parabola through 3 pixels per axis."""
    height, width = heatmap.shape

    def at(dx: int, dy: int) -> Array:
        return heatmap[jnp.clip(y + dy, 0, height - 1), jnp.clip(x + dx, 0, width - 1)]

    def peak(before: Array, center: Array, after: Array) -> Array:
        bend = before - 2.0 * center + after
        slope = 0.5 * (before - after)
        offset = jnp.where(bend < 0, slope / jnp.where(bend < 0, bend, 1.0), 0.0)
        return jnp.clip(offset, -0.5, 0.5)

    center = at(0, 0)
    dx = peak(at(-1, 0), center, at(1, 0))
    dy = peak(at(0, -1), center, at(0, 1))
    return dx, dy


def detect(
    heatmap: Array,
    *,
    max_keypoints: int,
    threshold: float,
    radius: int,
    border: int,
    size: Size | None = None,
    method: str = "one_round",
    subpixel: bool = False,
) -> Keypoints:
    """Find the best local maxima of a heatmap.

    Args:
        heatmap: `[H, W]` scores in [0, 1].
        max_keypoints: K, how many rows the result has.
        threshold: only scores strictly above this count.
        radius: of suppression, in px.
        border: margin in px without keypoints.
        size: (height, width) of the valid top-left region, numbers or traced
            scalars; the padding beyond neither holds keypoints nor suppresses any.
        method: see `suppress`.
        subpixel: move each point by up to half a pixel per axis, to the peak of a
            parabola through its neighbors.

    Returns:
        Keypoints, best first; ties in raster order.

    Example:
        >>> import jax.numpy as jnp
        >>> heatmap = jnp.zeros((16, 16)).at[5, 9].set(0.8)
        >>> found = detect(heatmap, max_keypoints=2, threshold=0.5, radius=2, border=1)
        >>> found.xy[0].tolist(), found.mask.tolist()
        ([9.0, 5.0], [True, False])
    """
    heatmap = jax.lax.stop_gradient(jnp.asarray(heatmap, jnp.float32))
    height, width = heatmap.shape
    if size is not None:
        heatmap = jnp.where(within_border((height, width), 0, size), heatmap, 0.0)
    scores = suppress(heatmap, radius, method=method)
    allowed = within_border((height, width), border, size) & (scores > threshold)
    flat = jnp.where(allowed, scores, -jnp.inf).reshape(-1)
    count = min(max_keypoints, height * width)
    best, index = jax.lax.top_k(flat, count)
    spare = max_keypoints - count
    best = jnp.pad(best, (0, spare), constant_values=-jnp.inf)
    index = jnp.pad(index, (0, spare))
    mask = best > -jnp.inf
    x, y = index % width, index // width
    xy = jnp.stack([x, y], axis=-1).astype(jnp.float32)
    if subpixel:
        xy = xy + jnp.stack(_refine(heatmap, x, y), axis=-1)
    return Keypoints(
        xy=jnp.where(mask[:, None], xy, 0.0),
        scores=jnp.where(mask, best, 0.0),
        mask=mask,
    )


def _normalize(vectors: Array) -> Array:
    """Scale vectors to unit norm; zero vectors stay, with finite gradients."""
    squared = jnp.sum(vectors * vectors, axis=-1, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.where(squared > 1e-24, squared, 1.0))


def sample_descriptors(
    descriptors: Array, xy: Array, *, grid: str = "aligned"
) -> Array:
    """Read unit descriptors at keypoints of the image (stride 8).

    The descriptor head maps n trunk cells of 8 px to n - 2: cell o sits at trunk
    cell o + 1, so at px 8 o + 11.5. "aligned" inverts that, and repeats the edge
    cells outwards. "upstream" stretches the map over the image instead,
    `u = x (w - 1) / (8 w - 1)`, and fades to the zero vector at the far edges.

    Args:
        descriptors: `[h, w, D]` map of one image.
        xy: `[K, 2]` positions (x, y) in px of the image.
        grid: "aligned", or "upstream" for weights trained that way.

    Returns:
        `[K, D]` float32 of unit norm (zero where the map is zero).

    Raises:
        ValueError: unknown grid.

    Example:
        >>> import jax.numpy as jnp
        >>> cells = jnp.zeros((2, 2, 4)).at[0, 1, 3].set(5.0)
        >>> sample_descriptors(cells, jnp.array([[19.5, 11.5]])).tolist()
        [[0.0, 0.0, 0.0, 1.0]]

    Source: docs/paper/specification.md §2.1; quirk 19 is "upstream".
    """
    rows, columns = descriptors.shape[:2]
    xy = jnp.asarray(xy, jnp.float32)
    if grid == "aligned":
        u = jnp.clip((xy[..., 0] - 11.5) / 8.0, 0.0, columns - 1.0)
        v = jnp.clip((xy[..., 1] - 11.5) / 8.0, 0.0, rows - 1.0)
    elif grid == "upstream":
        u = xy[..., 0] * ((columns - 1.0) / (8.0 * columns - 1.0))
        v = xy[..., 1] * ((rows - 1.0) / (8.0 * rows - 1.0))
    else:
        raise ValueError(f"unknown descriptor grid {grid!r}; known: {GRIDS}")
    return _normalize(sample(descriptors, jnp.stack([u, v], axis=-1)))


def pixel_index(
    xy: Array, size: tuple[int, int], rounding: str = "floor"
) -> tuple[Array, Array]:
    """Return integer (x, y) of points, clipped into the image.

    Args:
        xy: `[..., 2]` points in px.
        size: (height, width).
        rounding: "floor" or "round".

    Returns:
        Two int32 arrays `[...]`.

    Raises:
        ValueError: unknown rounding.
    """
    if rounding not in ("floor", "round"):
        raise ValueError(f"unknown rounding {rounding!r}; known: floor, round")
    whole = jnp.floor(xy) if rounding == "floor" else jnp.floor(xy + 0.5)
    height, width = size
    x = jnp.clip(whole[..., 0], 0.0, width - 1.0).astype(jnp.int32)
    y = jnp.clip(whole[..., 1], 0.0, height - 1.0).astype(jnp.int32)
    return x, y


def rasterize(
    xy: Array, mask: Array, size: tuple[int, int], *, rounding: str = "floor"
) -> Array:
    """Draw points as single pixels of value 1.

    Args:
        xy: `[N, 2]` points (x, y) in px.
        mask: `[N]` bool, which of them exist.
        size: (height, width) of the map, static.
        rounding: "floor" (upstream truncates) or "round"; then clipped into the
            map, where upstream would fail on a coordinate at the far edge.

    Returns:
        `[H, W]` float32 of 0 and 1.

    Raises:
        ValueError: unknown rounding.

    Example:
        >>> import jax.numpy as jnp
        >>> rasterize(jnp.array([[1.7, 0.2]]), jnp.array([True]), (1, 3)).tolist()
        [[0.0, 1.0, 0.0]]

    Source: docs/paper/specification.md §1 and 10 (quirk 3).
    """
    x, y = pixel_index(jnp.asarray(xy, jnp.float32), size, rounding)
    y = jnp.where(mask, y, size[0])
    return jnp.zeros(size, jnp.float32).at[y, x].set(1.0, mode="drop")

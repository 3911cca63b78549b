"""Progressive keypoint expansion (PKE): labels grow by what the detector confirms.

A detection counts when it is found again in a warped view, at the right place and
with the right descriptor. An integer *value map* per labeled image remembers for how
long, so that a detection must keep coming back to stay a label. All of it runs under
`jax.jit` with a fixed number of candidates, on ONE image (or crop of one, with the
same crop of its value map); callers `jax.vmap`. No gradient passes through.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from flax import struct

from rkd_jax.geometry.homography import apply_homography
from rkd_jax.geometry.warp import inside, pixel_grid
from rkd_jax.keypoints import (
    pixel_index,
    rasterize,
    sample_descriptors,
    suppress,
    within_border,
)

Array = jax.Array


@dataclass(frozen=True)
class ExpansionOptions:
    """Constants of the expansion; hashable, so that it can be a static argument.

    Attributes:
        max_candidates: K, how many confirmed detections one call treats at most.
        choice: which K: the "best" by score, or the first in "raster" order.
        method: suppression, see `rkd_jax.keypoints.suppress`.
        radius: of suppression of detections, in px.
        threshold: detections score strictly above this.
        border: detections keep this distance from the edge, in px.
        grid: descriptor sampling, see `rkd_jax.keypoints.sample_descriptors`.
        rounding: "floor" or "round", from positions to pixels.
        geometric_threshold: the warped heatmap must reach this at the mapped pixel.
        content_ratio: nearest over second nearest descriptor distance, below this.
        window: the area around a point is `[-window // 4, window // 4)` in x and y.
        hit: added to the value of a point found again, or new.
        near: added to the values in the area of a point that is not itself known.
        decay: taken from every value that a call leaves alone.
        max_value: cap of a value (ignored under `wrap_uint8`).
        wrap_uint8: let values wrap at 256.
        value_radius: of suppression of the value map, in px.
        accept_value: least value of an expanded label.
        merge_radius: of suppression between expanded and given labels, in px.
        merge_value: score of an expanded label there; a given one has 1.
        merge_threshold: labels score strictly above this.
        keep_labels: keep every given label, near the border or near another too.
        labels_if_fewer: fall back on the given labels where fewer points are left.

    Source: docs/paper/specification.md §5 for RKD's numbers, section 10 for what
    we change.
    """

    max_candidates: int = 256
    choice: str = "best"
    method: str = "one_round"
    radius: int = 20
    threshold: float = 0.5
    border: int = 8
    grid: str = "aligned"
    rounding: str = "floor"
    geometric_threshold: float = 0.5
    content_ratio: float = 0.7
    window: int = 8
    hit: int = 5
    near: int = 1
    decay: int = 1
    max_value: int = 255
    wrap_uint8: bool = False
    value_radius: int = 16
    accept_value: int = 5
    merge_radius: int = 20
    merge_value: float = 0.8
    merge_threshold: float = 0.5
    keep_labels: bool = True
    labels_if_fewer: bool = False

    def __post_init__(self):
        if self.choice not in ("best", "raster"):
            raise ValueError(f"unknown choice {self.choice!r}; known: best, raster")
        if self.max_candidates < 1:
            raise ValueError(
                f"max_candidates is {self.max_candidates}; expected 1 or more"
            )

    @classmethod
    def upstream(cls, release: str = "rkd") -> "ExpansionOptions":
        """Return the options of a published code base, quirks included.

        Args:
            release: "rkd", or "superretina" for that code's constants (whose random
                tie-break is replaced by our deterministic one).

        Raises:
            ValueError: unknown release.

        Example:
            >>> ExpansionOptions.upstream().wrap_uint8
            True
        """
        rkd = cls(
            max_candidates=1024,
            choice="raster",
            method="two_round",
            grid="upstream",
            wrap_uint8=True,
            keep_labels=False,
        )
        if release == "rkd":
            return rkd
        if release == "superretina":
            return replace(
                rkd,
                method="one_round",
                radius=10,
                threshold=0.1,
                merge_radius=10,
                merge_value=0.5,
                merge_threshold=0.1,
                labels_if_fewer=True,
            )
        raise ValueError(f"unknown release {release!r}; known: rkd, superretina")


DEFAULT_OPTIONS = ExpansionOptions()


@struct.dataclass
class Expansion:
    """What a call gives.

    Attributes:
        label_map: `[H, W]` float32, 1 at given and expanded labels, else 0.
        value_map: `[H, W]` int32, the memory for the next call.
        added: int32 scalar, labels in `label_map` minus given ones; below 0 where
            given labels were lost (only without `keep_labels`).
    """

    label_map: Array
    value_map: Array
    added: Array


def confirmed_candidates(
    heatmap: Array,
    warped_heatmap: Array,
    h_raw_to_warped: Array,
    options: ExpansionOptions = DEFAULT_OPTIONS,
    size=None,
) -> tuple[Array, Array]:
    """Choose detections whose place is bright in the warped heatmap as well.

    Args:
        heatmap: `[H, W]`, of the raw image.
        warped_heatmap: `[H, W]`, of the warped image.
        h_raw_to_warped: `[3, 3]`.
        options: constants.
        size: (height, width) of the valid region, numbers or traced; default all.

    Returns:
        `[K]` int32 raster indices in ascending order and `[K]` bool mask.
    """
    height, width = heatmap.shape
    if size is not None:
        heatmap = jnp.where(within_border((height, width), 0, size), heatmap, 0.0)
    scores = suppress(heatmap, options.radius, method=options.method)
    mapped = apply_homography(h_raw_to_warped, pixel_grid((height, width)))
    x, y = pixel_index(mapped, warped_heatmap.shape, options.rounding)
    confirmed = (
        (scores > options.threshold)
        & within_border((height, width), options.border, size)
        & inside(mapped, warped_heatmap.shape)
        & (warped_heatmap[y, x] >= options.geometric_threshold)
    ).reshape(-1)
    if options.choice == "best":
        rank = scores.reshape(-1)
    else:
        rank = -jnp.arange(height * width, dtype=jnp.float32)
    count = min(options.max_candidates, height * width)
    rank, index = jax.lax.top_k(jnp.where(confirmed, rank, -jnp.inf), count)
    index = jnp.sort(jnp.where(rank > -jnp.inf, index, height * width))
    mask = index < height * width
    return jnp.where(mask, index, 0), mask


def content_matches(
    descriptors: Array, warped_descriptors: Array, mask: Array, *, ratio: float
) -> Array:
    """Tell which points are nearest to themselves in the warped image, clearly.

    Args:
        descriptors: `[K, D]`, at the points in the raw image.
        warped_descriptors: `[K, D]`, at the mapped points in the warped image.
        mask: `[K]` bool; masked points take no part.
        ratio: the distance to itself must be below this times the next best one.

    Returns:
        `[K]` bool; all False where fewer than two points exist.
    """
    dot = jnp.matmul(
        descriptors, warped_descriptors.T, precision=jax.lax.Precision.HIGHEST
    )
    squared0 = jnp.sum(descriptors**2, axis=-1)[:, None]
    squared1 = jnp.sum(warped_descriptors**2, axis=-1)[None, :]
    squared = jnp.maximum(squared0 + squared1 - 2.0 * dot, 0.0)
    distance = jnp.where(mask[None, :], jnp.sqrt(squared), jnp.inf)
    itself = jnp.diagonal(distance)
    others = jnp.min(
        jnp.where(jnp.eye(mask.shape[0], dtype=bool), jnp.inf, distance), axis=-1
    )
    return mask & (itself < ratio * others) & jnp.isfinite(others)


def update_values(
    value_map: Array,
    x: Array,
    y: Array,
    mask: Array,
    options: ExpansionOptions = DEFAULT_OPTIONS,
) -> Array:
    """Let points strengthen the value map one after the other, then let it fade.

    A point raises its own pixel if that has a value, or if nothing near has one; else
    it raises what is near, so that a keypoint may wander by a pixel or two.

    Args:
        value_map: `[H, W]` int32, 0 or more.
        x: `[K]` int32 columns.
        y: `[K]` int32 rows.
        mask: `[K]` bool.
        options: constants.

    Returns:
        `[H, W]` int32.

    Example:
        >>> import jax.numpy as jnp
        >>> at = jnp.array([1])
        >>> update_values(jnp.zeros((2, 3), jnp.int32), at, at, at > 0)[1].tolist()
        [0, 5, 0]
    """
    reach = options.window // 4
    side = 2 * reach
    rows, columns = jnp.indices((side, side))
    center = (rows == reach) & (columns == reach)

    def limit(values: Array) -> Array:
        return values & 255 if options.wrap_uint8 else values

    def visit(i: Array, padded: Array) -> Array:
        # Padding by `reach` makes every window whole; it stays 0 for ever.
        corner = (y[i], x[i])
        area = jax.lax.dynamic_slice(padded, corner, (side, side))
        known = (area[reach, reach] != 0) | jnp.all(area == 0)
        raised = jnp.where(
            known,
            area + options.hit * center.astype(jnp.int32),
            area + options.near * (area != 0).astype(jnp.int32),
        )
        area = jnp.where(mask[i], limit(raised), area)
        return jax.lax.dynamic_update_slice(padded, area, corner)

    old = jnp.pad(value_map.astype(jnp.int32), reach)
    new = jax.lax.fori_loop(0, x.shape[0], visit, old)
    new = jnp.where(new == old, jnp.maximum(new - options.decay, 0), new)
    if not options.wrap_uint8:
        new = jnp.minimum(new, options.max_value)
    height, width = value_map.shape
    return new[reach : reach + height, reach : reach + width]


def merge_labels(
    value_map: Array,
    given: Array,
    options: ExpansionOptions = DEFAULT_OPTIONS,
    size=None,
) -> tuple[Array, Array]:
    """Join strong values of the value map with the given labels.

    Args:
        value_map: `[H, W]` int32.
        given: `[H, W]` float32 of 0 and 1, the given labels.
        options: constants.
        size: (height, width) of the valid region, numbers or traced; default all.

    Returns:
        `[H, W]` float32 of 0 and 1, and the int32 number of labels gained.
    """
    values = suppress(
        value_map.astype(jnp.float32), options.value_radius, method=options.method
    )
    merged = jnp.where(values >= options.accept_value, options.merge_value, 0.0)
    merged = jnp.where(given > 0, 1.0, merged)
    kept = suppress(merged, options.merge_radius, method=options.method)
    labels = (kept > options.merge_threshold) & within_border(
        given.shape, options.border, size
    )
    if options.keep_labels:
        labels = labels | (given > 0)
    count_given = jnp.sum(given > 0, dtype=jnp.int32)
    if options.labels_if_fewer:
        fewer = jnp.sum(labels, dtype=jnp.int32) < count_given
        labels = jnp.where(fewer, given > 0, labels)
    added = jnp.sum(labels, dtype=jnp.int32) - count_given
    return labels.astype(jnp.float32), added


def expand(
    heatmap: Array,
    warped_heatmap: Array,
    descriptors: Array,
    warped_descriptors: Array,
    h_raw_to_warped: Array,
    value_map: Array,
    labels_xy: Array,
    labels_mask: Array,
    *,
    options: ExpansionOptions = DEFAULT_OPTIONS,
    size=None,
) -> Expansion:
    """Expand the labels of one image by detections that a warped view confirms.

    Args:
        heatmap: `[H, W]` in [0, 1], of the raw image.
        warped_heatmap: `[H, W]` in [0, 1], of the warped image.
        descriptors: `[h, w, D]` map of the raw image.
        warped_descriptors: `[h, w, D]` map of the warped image.
        h_raw_to_warped: `[3, 3]` map of raw px to warped px.
        value_map: `[H, W]` int32; zeros at first, then what the last call gave.
        labels_xy: `[N, 2]` given labels (x, y) in px of the raw image.
        labels_mask: `[N]` bool.
        options: constants and quirks, static under `jax.jit`.
        size: (height, width) of what is image and not padding, numbers or traced
            scalars; default all.

    Returns:
        The new labels and value map.

    Raises:
        ValueError: shapes of maps differ, or an option is unknown.

    Source: docs/paper/specification.md §5 (SuperRetina's PKE as RKD uses it). By
    default we keep the best candidates, all given labels and a capped value map; see
    `ExpansionOptions`.
    """
    shapes = {heatmap.shape, warped_heatmap.shape, value_map.shape}
    if len(shapes) > 1:
        raise ValueError(
            f"heatmap {heatmap.shape}, warped_heatmap {warped_heatmap.shape} and "
            f"value_map {value_map.shape} differ; expected one [H, W]"
        )
    heatmap, warped_heatmap, descriptors, warped_descriptors, h_raw_to_warped = (
        jax.lax.stop_gradient(
            (heatmap, warped_heatmap, descriptors, warped_descriptors, h_raw_to_warped)
        )
    )
    width = heatmap.shape[1]
    index, mask = confirmed_candidates(
        heatmap, warped_heatmap, h_raw_to_warped, options, size
    )
    x, y = index % width, index // width
    xy = jnp.stack([x, y], axis=-1).astype(jnp.float32)
    mapped = apply_homography(h_raw_to_warped, xy)
    accepted = content_matches(
        sample_descriptors(descriptors, xy, grid=options.grid),
        sample_descriptors(warped_descriptors, mapped, grid=options.grid),
        mask,
        ratio=options.content_ratio,
    )
    value_map = update_values(value_map, x, y, accepted, options)
    given = rasterize(labels_xy, labels_mask, heatmap.shape, rounding=options.rounding)
    label_map, added = merge_labels(value_map, given, options, size)
    return Expansion(label_map=label_map, value_map=value_map, added=added)

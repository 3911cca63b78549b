"""Nearest-neighbor matching of descriptor sets, with masks and a fixed size."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.keypoints import Keypoints

Array = jax.Array


def _squared_distances(descriptors0: Array, descriptors1: Array) -> Array:
    """Return squared Euclidean distances `[K0, K1]`; rows need not be unit norm."""
    dots = jnp.matmul(descriptors0, descriptors1.T, precision=jax.lax.Precision.HIGHEST)
    norms0 = jnp.sum(descriptors0**2, axis=-1)[:, None]
    norms1 = jnp.sum(descriptors1**2, axis=-1)[None, :]
    return jnp.maximum(norms0 + norms1 - 2.0 * dots, 0.0)


def mutual_nearest(
    descriptors0: Array,
    mask0: Array,
    descriptors1: Array,
    mask1: Array,
    *,
    ratio: float | None = None,
    mutual: bool = True,
) -> tuple[Array, Array]:
    """Match each descriptor of set 0 to its nearest one of set 1.

    Shapes are fixed, so the function runs under jit and vmap; rows outside the
    masks take no part. Ties go to the lower index.

    Args:
        descriptors0: `[K0, D]` float32, usually unit norm.
        mask0: `[K0]` bool.
        descriptors1: `[K1, D]` float32.
        mask1: `[K1]` bool.
        ratio: keep a match only if its distance is below `ratio` times the
            distance of the second nearest; None turns the test off. With fewer
            than two valid candidates the test cannot be made and nothing matches.
        mutual: keep a match only if each is the nearest of the other.

    Returns:
        `index [K0]` int32 into set 1, -1 where there is no match, and
        `distance [K0]` float32, Euclidean, infinite where there is no match.

    Example:
        >>> a = jnp.eye(3); b = a[jnp.array([2, 0, 1])]; on = jnp.ones(3, bool)
        >>> mutual_nearest(a, on, b, on)[0].tolist()
        [1, 2, 0]

    Source: the ratio test of Lowe, IJCV 2004; SuperRetina matches with ratio 0.9
    and no mutual check (`mutual=False, ratio=0.9`).
    """
    valid = mask0[:, None] & mask1[None, :]
    squared = _squared_distances(descriptors0, descriptors1)
    squared = jnp.where(valid, squared, jnp.inf)
    rows = jnp.arange(squared.shape[0])
    index = jnp.argmin(squared, axis=1)
    best = squared[rows, index]
    keep = jnp.isfinite(best)
    if ratio is not None:
        second = jnp.min(squared.at[rows, index].set(jnp.inf), axis=1)
        keep &= jnp.isfinite(second) & (best < ratio**2 * second)
    if mutual:
        keep &= jnp.argmin(squared, axis=0)[index] == rows
    index = jnp.where(keep, index, -1).astype(jnp.int32)
    return index, jnp.where(keep, jnp.sqrt(best), jnp.inf)


_mutual_nearest = functools.partial(jax.jit, static_argnames=("ratio", "mutual"))(
    mutual_nearest
)


def match_keypoints(
    keypoints0: Keypoints,
    keypoints1: Keypoints,
    *,
    ratio: float | None = None,
    mutual: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Match two keypoint sets and return pairs of row numbers.

    Args:
        keypoints0: keypoints with descriptors, K0 rows.
        keypoints1: keypoints with descriptors, K1 rows.
        ratio: as in `mutual_nearest`.
        mutual: as in `mutual_nearest`.

    Returns:
        `pairs [M, 2]` int64 (row in set 0, row in set 1) and `similarity [M]`
        float32, the cosine for unit descriptors.

    Raises:
        ValueError: if either set has no descriptors.
    """
    for name, keypoints in (("keypoints0", keypoints0), ("keypoints1", keypoints1)):
        if keypoints.descriptors is None:
            raise ValueError(
                f"{name}: expected descriptors [K, D], found None; sample them with "
                "rkd_jax.keypoints.sample_descriptors first"
            )
    index, distance = _mutual_nearest(
        jnp.asarray(keypoints0.descriptors),
        jnp.asarray(keypoints0.mask),
        jnp.asarray(keypoints1.descriptors),
        jnp.asarray(keypoints1.mask),
        ratio=ratio,
        mutual=mutual,
    )
    index, distance = np.asarray(index), np.asarray(distance)
    rows = np.flatnonzero(index >= 0)
    pairs = np.stack([rows, index[rows].astype(np.int64)], axis=1)
    return pairs, 1.0 - 0.5 * distance[rows] ** 2

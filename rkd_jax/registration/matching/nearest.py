"""Nearest-neighbor matching of descriptor sets, with masks and a fixed size."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.keypoints import Keypoints
from rkd_jax.registration.matching.within import pairs_within

Array = jax.Array


def _squared_distances(descriptors0: Array, descriptors1: Array) -> Array:
    """Return squared Euclidean distances `[K0, K1]`; rows need not be unit norm."""
    dots = jnp.matmul(descriptors0, descriptors1.T, precision=jax.lax.Precision.HIGHEST)
    norms0 = jnp.sum(descriptors0**2, axis=-1)[:, None]
    norms1 = jnp.sum(descriptors1**2, axis=-1)[None, :]
    return jnp.maximum(norms0 + norms1 - 2.0 * dots, 0.0)


def _first_least(values: Array, axis: int) -> tuple[Array, Array]:
    """Return index and value of the least along an axis, the first of ties.

    XLA's argmin visits one value at a time on a CPU; two plain minima do not.
    """
    least = jnp.min(values, axis=axis, keepdims=True)
    places = jax.lax.broadcasted_iota(jnp.int32, values.shape, axis)
    index = jnp.min(jnp.where(values == least, places, values.shape[axis]), axis=axis)
    return index, jnp.squeeze(least, axis)


def mutual_nearest(
    descriptors0: Array,
    mask0: Array,
    descriptors1: Array,
    mask1: Array,
    *,
    ratio: float | None = None,
    mutual: bool = True,
    positions1: Array | None = None,
    separation: float = 0.0,
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
        positions1: `[K1, 2]` where the descriptors of set 1 are, for `separation`.
        separation: the second nearest must lie more than this away from the nearest.
            Dense points see the same spot twice, and two views of one spot must not
            rule each other out.

    Returns:
        `index [K0]` int32 into set 1, -1 where there is no match, and
        `distance [K0]` float32, Euclidean, infinite where there is no match.

    Example:
        >>> a = jnp.eye(3); b = a[jnp.array([2, 0, 1])]; on = jnp.ones(3, bool)
        >>> mutual_nearest(a, on, b, on)[0].tolist()
        [1, 2, 0]

    Source: the ratio test of Lowe, IJCV 2004; SuperRetina matches with ratio 0.9
    and no mutual check (`mutual=False, ratio=0.9`). The second nearest that is
    geometrically another one: Mishkin et al., MODS, CVIU 2015.
    """
    valid = mask0[:, None] & mask1[None, :]
    squared = _squared_distances(descriptors0, descriptors1)
    squared = jnp.where(valid, squared, jnp.inf)
    rows = jnp.arange(squared.shape[0])
    index, best = _first_least(squared, 1)
    # Not smaller than K1 only if nothing equals its own minimum, as with NaN.
    keep = jnp.isfinite(best) & (index < squared.shape[1])
    if ratio is not None:
        columns = jnp.arange(squared.shape[1])
        others = jnp.where(columns[None] == index[:, None], jnp.inf, squared)
        if positions1 is not None and separation > 0:
            away = _squared_distances(positions1, positions1)[index]
            others = jnp.where(away > separation**2, others, jnp.inf)
        second = jnp.min(others, axis=1)
        keep &= jnp.isfinite(second) & (best < ratio**2 * second)
    if mutual:
        keep &= _first_least(squared, 0)[0][index] == rows
    index = jnp.where(keep, index, -1).astype(jnp.int32)
    return index, jnp.where(keep, jnp.sqrt(best), jnp.inf)


_mutual_nearest = functools.partial(
    jax.jit, static_argnames=("ratio", "mutual", "separation")
)(mutual_nearest)


def _check_descriptors(keypoints0: Keypoints, keypoints1: Keypoints) -> None:
    for name, keypoints in (("keypoints0", keypoints0), ("keypoints1", keypoints1)):
        if keypoints.descriptors is None:
            raise ValueError(
                f"{name}: expected descriptors [K, D], found None; sample them with "
                "rkd_jax.keypoints.sample_descriptors first"
            )


def match_keypoints(
    keypoints0: Keypoints,
    keypoints1: Keypoints,
    *,
    ratio: float | None = None,
    mutual: bool = True,
    separation: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Match two keypoint sets and return pairs of row numbers.

    Args:
        keypoints0: keypoints with descriptors, K0 rows.
        keypoints1: keypoints with descriptors, K1 rows.
        ratio: as in `mutual_nearest`.
        mutual: as in `mutual_nearest`.
        separation: as in `mutual_nearest`, in pixels of `keypoints1.xy`.

    Returns:
        `pairs [M, 2]` int64 (row in set 0, row in set 1) and `similarity [M]`
        float32, the cosine for unit descriptors.

    Raises:
        ValueError: if either set has no descriptors.
    """
    _check_descriptors(keypoints0, keypoints1)
    index, distance = _mutual_nearest(
        keypoints0.descriptors,
        keypoints0.mask,
        keypoints1.descriptors,
        keypoints1.mask,
        ratio=ratio,
        mutual=mutual,
        positions1=keypoints1.xy if separation > 0 else None,
        separation=separation,
    )
    index, distance = np.asarray(index), np.asarray(distance)
    rows = np.flatnonzero(index >= 0)
    pairs = np.stack([rows, index[rows].astype(np.int64)], axis=1)
    return pairs, 1.0 - 0.5 * distance[rows] ** 2


class GuidedMatcher:
    """Matches two keypoint sets near where a transform maps them, again and again.

    Only pairs within reach are compared, some ten a point: a search on the host finds
    them in milliseconds, where the whole matrix of similarities would be read several
    times.

    Args:
        keypoints0: keypoints with unit descriptors, K0 rows.
        keypoints1: the same, K1 rows.

    Raises:
        ValueError: if either set has no descriptors.

    Example:
        >>> xy, on = np.array([[0.0, 0.0], [9.0, 0.0]]), np.ones(2, bool)
        >>> points = Keypoints(xy=xy, scores=xy[:, 0], mask=on, descriptors=np.eye(2))
        >>> matcher = GuidedMatcher(points, points)
        >>> matcher(xy + 1.0, radius=2.0, min_similarity=0.5)[0].tolist()
        [[0, 0], [1, 1]]
    """

    def __init__(self, keypoints0: Keypoints, keypoints1: Keypoints) -> None:
        _check_descriptors(keypoints0, keypoints1)
        self._rows0 = np.flatnonzero(keypoints0.mask)
        self._rows1 = np.flatnonzero(keypoints1.mask)
        self._descriptors0 = np.asarray(keypoints0.descriptors)
        self._descriptors1 = np.asarray(keypoints1.descriptors)
        self._points1 = np.asarray(keypoints1.xy, float)[self._rows1]

    def __call__(
        self, mapped0: np.ndarray, *, radius: float, min_similarity: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match points `[K0, 2]` mapped into image 1; NaN ones match nothing.

        Args:
            mapped0: `[K0, 2]`, in pixels of `keypoints1.xy`.
            radius: of the search, in the same pixels.
            min_similarity: a match is at least this similar.

        Returns:
            `pairs [M, 2]` int64 and `similarity [M]` float32, as `match_keypoints`.
            Each point is used at most once: a match is the most similar of both
            within reach; of equal ones the first.
        """
        rows0 = self._rows0[np.isfinite(mapped0[self._rows0]).all(axis=1)]
        near0, near1 = pairs_within(mapped0[rows0], self._points1, radius)
        index0, index1 = rows0[near0], self._rows1[near1]
        similarity = np.einsum(
            "nd,nd->n", self._descriptors0[index0], self._descriptors1[index1]
        )
        alike = similarity >= min_similarity
        index0, index1 = index0[alike], index1[alike]
        similarity = similarity[alike]
        best = _first_of_each(index0, index1, similarity)
        best &= _first_of_each(index1, index0, similarity)
        order = np.flatnonzero(best)[np.argsort(index0[best])]
        pairs = np.stack([index0[order], index1[order]], axis=1).astype(np.int64)
        return pairs, similarity[order].astype(np.float32)


def _first_of_each(
    group: np.ndarray, other: np.ndarray, similarity: np.ndarray
) -> np.ndarray:
    """Mark the most similar row of each group; ties go to the lower `other`."""
    order = np.lexsort((other, -similarity, group))
    first = np.ones(len(group), bool)
    first[1:] = group[order][1:] != group[order][:-1]
    chosen = np.zeros(len(group), bool)
    chosen[order[first]] = True
    return chosen

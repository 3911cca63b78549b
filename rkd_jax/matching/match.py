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
    index = jnp.argmin(squared, axis=1)
    best = squared[rows, index]
    keep = jnp.isfinite(best)
    if ratio is not None:
        others = squared.at[rows, index].set(jnp.inf)
        if positions1 is not None and separation > 0:
            away = _squared_distances(positions1, positions1)[index]
            others = jnp.where(away > separation**2, others, jnp.inf)
        second = jnp.min(others, axis=1)
        keep &= jnp.isfinite(second) & (best < ratio**2 * second)
    if mutual:
        keep &= jnp.argmin(squared, axis=0)[index] == rows
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
        jnp.asarray(keypoints0.descriptors),
        jnp.asarray(keypoints0.mask),
        jnp.asarray(keypoints1.descriptors),
        jnp.asarray(keypoints1.mask),
        ratio=ratio,
        mutual=mutual,
        positions1=jnp.asarray(keypoints1.xy),
        separation=separation,
    )
    index, distance = np.asarray(index), np.asarray(distance)
    rows = np.flatnonzero(index >= 0)
    pairs = np.stack([rows, index[rows].astype(np.int64)], axis=1)
    return pairs, 1.0 - 0.5 * distance[rows] ** 2


def guided_nearest(
    similarity: Array,
    mapped0: Array,
    mask0: Array,
    xy1: Array,
    mask1: Array,
    *,
    radius: Array | float,
    min_similarity: Array | float,
) -> tuple[Array, Array]:
    """Match each point of set 0 to the most similar one near where it is mapped.

    Args:
        similarity: `[K0, K1]` float32, of all pairs.
        mapped0: `[K0, 2]` float32, set 0 mapped into the image of set 1.
        mask0: `[K0]` bool.
        xy1: `[K1, 2]` float32.
        mask1: `[K1]` bool.
        radius: how far to look, in pixels of `xy1`.
        min_similarity: a match is at least this similar.

    Returns:
        `index [K0]` int32 into set 1, -1 where there is no match, and the
        `similarity [K0]` of the matches, 0 elsewhere. Each point is used at most
        once: a match is the most similar of both within reach.

    Example:
        >>> xy = jnp.array([[0.0, 0.0], [9.0, 0.0]]); on = jnp.ones(2, bool)
        >>> alike = jnp.array([[0.7, 0.9], [0.2, 0.8]])
        >>> guided_nearest(
        ...     alike, xy + 1.0, on, xy, on, radius=2.0, min_similarity=0.5
        ... )[0].tolist()
        [0, 1]
    """
    radius = jnp.asarray(radius, jnp.float32)
    dx = mapped0[:, 0][:, None] - xy1[:, 0][None, :]
    dy = mapped0[:, 1][:, None] - xy1[:, 1][None, :]
    near = dx * dx + dy * dy <= radius * radius
    near &= mask0[:, None] & mask1[None, :]
    near &= similarity >= jnp.asarray(min_similarity, jnp.float32)
    allowed = jnp.where(near, similarity, -jnp.inf)
    index = jnp.argmax(allowed, axis=1)
    rows = jnp.arange(similarity.shape[0])
    best = allowed[rows, index]
    keep = jnp.isfinite(best) & (jnp.argmax(allowed, axis=0)[index] == rows)
    index = jnp.where(keep, index, -1).astype(jnp.int32)
    return index, jnp.where(keep, best, 0.0)


_guided_nearest = jax.jit(guided_nearest)


@jax.jit
def _similarities(descriptors0: Array, descriptors1: Array) -> Array:
    return jnp.matmul(descriptors0, descriptors1.T, precision=jax.lax.Precision.HIGHEST)


class GuidedMatcher:
    """Matches two keypoint sets near where a transform maps them, again and again.

    The similarities of all pairs are computed once and stay on the device.

    Args:
        keypoints0: keypoints with unit descriptors, K0 rows.
        keypoints1: the same, K1 rows.

    Raises:
        ValueError: if either set has no descriptors.
    """

    def __init__(self, keypoints0: Keypoints, keypoints1: Keypoints) -> None:
        _check_descriptors(keypoints0, keypoints1)
        self._mask0 = jnp.asarray(keypoints0.mask)
        self._mask1 = jnp.asarray(keypoints1.mask)
        self._xy1 = jnp.asarray(keypoints1.xy, jnp.float32)
        self._similarity = _similarities(
            jnp.asarray(keypoints0.descriptors), jnp.asarray(keypoints1.descriptors)
        )

    def __call__(
        self, mapped0: np.ndarray, *, radius: float, min_similarity: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match points `[K0, 2]` mapped into image 1; NaN ones match nothing.

        Returns:
            `pairs [M, 2]` int64 and `similarity [M]` float32, as `match_keypoints`.
        """
        far = 1e9  # beyond any radius
        mapped0 = np.nan_to_num(mapped0, nan=far, posinf=far, neginf=-far)
        index, similarity = _guided_nearest(
            self._similarity,
            jnp.asarray(np.clip(mapped0, -far, far).astype(np.float32)),
            self._mask0,
            self._xy1,
            self._mask1,
            radius=np.float32(radius),
            min_similarity=np.float32(min_similarity),
        )
        index, similarity = np.asarray(index), np.asarray(similarity)
        rows = np.flatnonzero(index >= 0)
        pairs = np.stack([rows, index[rows].astype(np.int64)], axis=1)
        return pairs, similarity[rows]

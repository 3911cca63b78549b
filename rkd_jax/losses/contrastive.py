"""Symmetric InfoNCE over the points of an image pair."""

import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.losses._masked import (
    check_descriptors,
    check_positive,
    check_reduction,
    point_mask,
    reduce_points,
    unit,
)

Array = jax.Array


def info_nce(
    desc0: Array,
    desc1: Array,
    *,
    where: Array | None = None,
    xy: Array | None = None,
    exclude_radius: float | Array = 0.0,
    temperature: float | Array = 0.07,
    reduction: str = "none",
) -> Array:
    """Find each point's partner among all points of the other image.

    Row i of both is the same point. With unit vectors x, z of the two images and
    s_ij = x_i.z_j / temperature,

        l_i = (log sum_j exp(s_ij) + log sum_j exp(s_ji)) / 2 - s_ii,

    where j runs over i and over the valid points at least `exclude_radius` away from
    it: neighbors that nearly coincide are no fair negatives.

    Args:
        desc0: `[N, D]`, any float type and length; scaled to unit length here.
        desc1: `[N, D]`, same.
        where: bool `[N]`, the valid points; rows outside may hold anything and change
            nothing. None means all. A lone point has loss 0.
        xy: `[N, 2]` positions in pixels of one image; needed with `exclude_radius`.
        exclude_radius: in pixels; 0 keeps every other point as a negative.
        temperature: positive; smaller is stricter.
        reduction: "none", "mean" (over valid points) or "sum".

    Returns:
        float32 `[N]` of at least 0, 0 at masked points; a scalar for "mean" and "sum".

    Raises:
        ValueError: shapes differ or are not `[N, D]`, the mask or `xy` do not fit, a
            radius comes without `xy`, the temperature is not positive, or the
            reduction is unknown.

    >>> import jax.numpy as jnp
    >>> info_nce(jnp.eye(3), jnp.eye(3)).round(4).tolist()
    [0.0, 0.0, 0.0]
    >>> loss = info_nce(jnp.ones((3, 8)), jnp.ones((3, 8)), reduction="mean")
    >>> round(float(loss), 4)  # log 3
    1.0986

    Source: InfoNCE (van den Oord et al. 2018), symmetric as in CLIP (Radford et al.
    2021). The excluded neighbors and the mask are ours.
    """
    check_descriptors("desc0", desc0, "desc1", desc1)
    check_reduction(reduction)
    check_positive("temperature", temperature)
    mask = point_mask(where, "desc0", desc0)
    points = desc0.shape[0]
    counted = mask[None, :] & mask[:, None]
    # A traced radius may turn out to be positive: then nothing is left out at 0.
    traced = isinstance(exclude_radius, jax.core.Tracer)
    if traced or np.asarray(exclude_radius) > 0:
        if xy is None:
            raise ValueError(f"exclude_radius is {exclude_radius} px: pass xy [N, 2]")
        if xy.shape != (points, 2):
            raise ValueError(
                f"xy has shape {xy.shape} but desc0 has shape {desc0.shape}: "
                f"expected ({points}, 2)"
            )
        offsets = jax.lax.stop_gradient(xy[:, None, :] - xy[None, :, :])
        squared = jnp.sum(offsets.astype(jnp.float32) ** 2, axis=-1)
        counted &= squared >= jnp.maximum(exclude_radius, 0.0) ** 2
    counted |= jnp.eye(points, dtype=bool)

    products = jnp.matmul(
        unit(desc0, mask), unit(desc1, mask).T, precision=jax.lax.Precision.HIGHEST
    )
    logits = jnp.where(counted, products / temperature, -jnp.inf)
    if points == 0:
        return reduce_points(jnp.zeros((0,), jnp.float32), mask, reduction)
    forward = jax.nn.logsumexp(logits, axis=1)
    backward = jax.nn.logsumexp(logits, axis=0)
    values = 0.5 * (forward + backward) - jnp.diagonal(logits)
    return reduce_points(values, mask, reduction)

"""Masked building blocks that the losses share: shapes, unit vectors, reductions."""

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array

REDUCTIONS = ("none", "mean", "sum")


def check_same_shape(first: str, a: Array, second: str, b: Array) -> None:
    """Raise ValueError naming both shapes unless `a` and `b` agree."""
    if a.shape != b.shape:
        raise ValueError(
            f"{first} has shape {a.shape} but {second} has shape {b.shape}: "
            "they must be equal"
        )


def broadcast_mask(where: Array | None, name: str, like: Array) -> Array:
    """Broadcast a mask to the shape of `like`; all true when it is None.

    Args:
        where: bool or number (non-zero counts), same rank as `like`, each side equal
            to that of `like` or 1; or None.
        name: name of `like`, for the error.
        like: array whose shape the mask must fit.

    Returns:
        bool, shape of `like`.

    Raises:
        ValueError: the mask does not fit.
    """
    if where is None:
        return jnp.ones(like.shape, dtype=bool)
    where = jnp.asarray(where)
    fits = where.ndim == like.ndim and all(
        side in (1, full) for side, full in zip(where.shape, like.shape)
    )
    if not fits:
        raise ValueError(
            f"where has shape {where.shape} but {name} has shape {like.shape}: give it "
            "the same rank, with each side equal or 1"
        )
    return jnp.broadcast_to(where.astype(bool), like.shape)


def point_mask(where: Array | None, name: str, points: Array) -> Array:
    """Return a bool mask `[N]` for `points` `[N, ...]`; all true when it is None."""
    if where is None:
        return jnp.ones(points.shape[:1], dtype=bool)
    where = jnp.asarray(where)
    if where.shape != points.shape[:1]:
        raise ValueError(
            f"where has shape {where.shape} but {name} has shape {points.shape}: "
            f"expected a mask of shape {points.shape[:1]}"
        )
    return where.astype(bool)


def check_descriptors(first: str, a: Array, second: str, b: Array) -> None:
    """Raise ValueError unless both are `[N, D]` of one shape."""
    check_same_shape(first, a, second, b)
    if a.ndim != 2:
        raise ValueError(
            f"{first} has shape {a.shape}; expected [N, D] descriptors of one image: "
            "use jax.vmap over a batch"
        )


def check_positive(name: str, value: float | Array) -> None:
    """Raise ValueError unless all is positive; what is traced is not known yet.

    In NumPy: under `jit`, JAX traces also a comparison of known arrays.
    """
    if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
        raise ValueError(f"{name} is {value}; expected a positive number")


def unit(vectors: Array, where: Array | None = None, eps: float = 1e-12) -> Array:
    """Scale rows to unit length, with zero value and zero gradient at zero vectors.

    Args:
        vectors: `[N, D]`, any float type.
        where: bool `[N]`; rows outside become zero, whatever they hold (NaN too).
        eps: rows shorter than this count as zero.

    Returns:
        float32 `[N, D]`.

    >>> [round(float(x), 4) for x in unit(jnp.array([[3.0, 4.0]]))[0]]
    [0.6, 0.8]
    """
    vectors = vectors.astype(jnp.float32)
    if where is not None:
        vectors = jnp.where(where[:, None], vectors, 0.0)
    squared = jnp.sum(vectors * vectors, axis=-1, keepdims=True)
    nonzero = squared > eps * eps
    scale = jax.lax.rsqrt(jnp.where(nonzero, squared, 1.0))
    return jnp.where(nonzero, vectors * scale, 0.0)


def check_reduction(reduction: str) -> None:
    """Raise ValueError unless the name is one of `REDUCTIONS`."""
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"reduction is {reduction!r}; expected one of {', '.join(REDUCTIONS)}"
        )


def reduce_points(values: Array, where: Array, reduction: str) -> Array:
    """Zero masked points, then keep `[N]`, sum, or average over the valid ones."""
    values = jnp.where(where, values, 0.0)
    if reduction == "none":
        return values
    if reduction == "sum":
        return jnp.sum(values)
    count = jnp.sum(where, dtype=values.dtype)
    return jnp.sum(values) / jnp.maximum(count, 1.0)

"""The two views of an image: what the student sees, and what its teacher sees."""

import jax
import jax.numpy as jnp

from rkd_jax.augment import sample_geometry
from rkd_jax.augment.geometry import HomographyPreset
from rkd_jax.geometry.homography import inverse
from rkd_jax.geometry.warp import warp

Array = jax.Array
RANGES = HomographyPreset(
    rotation_deg=10.0, scale=(1.0, 1.0), shift_frac=0.02, perspective=0.0
)


def student_view(key: Array, image: Array) -> Array:
    """Turn an image by up to 10 degrees, shift it by up to 2 %, mirror it or not.

    Args:
        key: of the draw.
        image: uint8 `[S, S, 3]`.

    Returns:
        float32 `[S, S, 3]` in 0..1; black beyond the image.

    Source: CRCKD (Xing et al., MICCAI 2021).
    """
    k_move, k_mirror = jax.random.split(key)
    size = image.shape[:2]
    moved = sample_geometry(k_move, size, RANGES)
    view = warp(image.astype(jnp.float32) / 255.0, inverse(moved), size)
    return jnp.where(jax.random.bernoulli(k_mirror), view[:, ::-1], view)


def teacher_view(key: Array, image: Array) -> Array:
    """Return another such view, turned upside down or not and by quarter turns.

    Args:
        key: of the draw.
        image: uint8 `[S, S, 3]`.

    Source: as `student_view`.
    """
    k_view, k_flip, k_turn = jax.random.split(key, 3)
    view = student_view(k_view, image)
    view = jnp.where(jax.random.bernoulli(k_flip), view[::-1], view)
    turns = jax.random.randint(k_turn, (), 0, 4)
    return jnp.stack([jnp.rot90(view, turn) for turn in range(4)])[turns]

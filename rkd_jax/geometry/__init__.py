"""Coordinates and transforms: homographies, and warping through inverse maps."""

from rkd_jax.geometry.affine import (
    AFFINE_PRESETS,
    AffineDraw,
    AffinePreset,
    affine_matrix,
    draw_affine,
    true_similarity,
    upstream_affine,
)
from rkd_jax.geometry.homography import (
    apply_homography,
    compose,
    inverse,
    random_homography,
    resize_points,
    scaling_about_pixels,
    translation,
)
from rkd_jax.geometry.warp import inside, pixel_grid, sample, warp, warp_mask

__all__ = [
    "AFFINE_PRESETS",
    "AffineDraw",
    "AffinePreset",
    "affine_matrix",
    "apply_homography",
    "compose",
    "draw_affine",
    "inside",
    "inverse",
    "pixel_grid",
    "random_homography",
    "resize_points",
    "sample",
    "scaling_about_pixels",
    "translation",
    "true_similarity",
    "upstream_affine",
    "warp",
    "warp_mask",
]

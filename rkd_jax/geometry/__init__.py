"""Coordinates and transforms: homographies, bent maps, warping by inverse maps."""

from rkd_jax.geometry.affine import (
    AFFINE_PRESETS,
    AffineDraw,
    AffinePreset,
    affine_matrix,
    draw_affine,
    true_similarity,
    upstream_affine,
)
from rkd_jax.geometry.deformation import (
    Deformation,
    bend,
    deform,
    flat,
    random_deformation,
    unbend,
    undeform,
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
    "Deformation",
    "affine_matrix",
    "apply_homography",
    "bend",
    "compose",
    "deform",
    "draw_affine",
    "flat",
    "inside",
    "inverse",
    "pixel_grid",
    "random_deformation",
    "random_homography",
    "resize_points",
    "sample",
    "scaling_about_pixels",
    "translation",
    "true_similarity",
    "unbend",
    "undeform",
    "upstream_affine",
    "warp",
    "warp_mask",
]

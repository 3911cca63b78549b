"""A picture of what a network finds on a pair: heatmaps above, matches below."""

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.pictures.matches import draw_matches


def matches_picture(
    images: np.ndarray,
    heatmaps: np.ndarray,
    fixed_xy: np.ndarray,
    moving_xy: np.ndarray,
    inliers: np.ndarray,
) -> np.ndarray:
    """Draw a pair with its heatmaps and its matches.

    Args:
        images: `[2, H, W]` float 0..1, fixed and moving.
        heatmaps: `[2, H, W]` float 0..1.
        fixed_xy: `[M, 2]` matched points in the fixed image.
        moving_xy: `[M, 2]` their partners in the moving image.
        inliers: `[M]` bool, drawn green, the others red; `[0]` without a transform.

    Returns:
        uint8 RGB `[2 H, 2 W, 3]`.
    """
    above = [_overlay(image, heatmap) for image, heatmap in zip(images, heatmaps)]
    flags = np.asarray(inliers, bool) if len(inliers) else np.zeros(len(fixed_xy), bool)
    height = images.shape[1]
    below = draw_matches(*images, fixed_xy, moving_xy, flags, height=height, gap=0)
    return np.concatenate([np.concatenate(above, axis=1), below], axis=0)


def _overlay(image: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    grey = np.rint(np.clip(heatmap, 0, 1) * 255).astype(np.uint8)
    colors = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1]
    share = np.clip(heatmap, 0, 1)[..., None] * 0.9
    return (to_rgb8(image) * (1 - share) + colors * share).round().astype(np.uint8)

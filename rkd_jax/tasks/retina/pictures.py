"""A picture of what a network finds on a pair: heatmaps above, matches below."""

import cv2
import numpy as np

from rkd_jax.images.pictures import to_rgb8

GREEN, RED = (80, 220, 100), (230, 80, 70)


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
        inliers: `[M]` bool; drawn green, the others red.

    Returns:
        uint8 RGB `[2 H, 2 W, 3]`.
    """
    gray = [to_rgb8(image) for image in images]
    heat = [_overlay(g, h) for g, h in zip(gray, heatmaps)]
    below = np.ascontiguousarray(np.concatenate(gray, axis=1))
    shift = np.array([images.shape[2], 0])
    flags = np.asarray(inliers, bool) if len(inliers) else np.zeros(len(fixed_xy), bool)
    for a, b, good in zip(fixed_xy, moving_xy + shift, flags):
        start, end = (tuple(round(float(v)) for v in p) for p in (a, b))
        cv2.line(below, start, end, GREEN if good else RED, 1, cv2.LINE_AA)
    return np.concatenate([np.concatenate(heat, axis=1), below], axis=0)


def _overlay(gray: np.ndarray, heatmap: np.ndarray) -> np.ndarray:
    colors = cv2.applyColorMap(to_rgb8(heatmap), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = np.clip(heatmap, 0, 1)[..., None] * 0.9
    return (gray * (1 - share) + colors * share).round().astype(np.uint8)

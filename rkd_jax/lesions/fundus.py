"""Whether an image shows a camera's field at all; without it its scale is unknown."""

from __future__ import annotations

import numpy as np

from rkd_jax.lesions.prepare import field_diameter

_LEAST_CONTRAST = 2.0  # grey levels; the flattest photograph we have seen has 12
_LEAST_SHARE = 0.25  # field to image, longer sides: memory grows with its square
_LEAST_SIDE = 0.5  # of the field: its smaller side to its larger one
_LEAST_COVERED = 0.85  # of the disc in the field's box
_MOST_CORNERS = 0.9  # lit, of what the disc leaves of the box: a page is all lit


def problem_of(image: np.ndarray, field: np.ndarray) -> str:
    """Return why an image is no photograph of a fundus; empty if it may be one.

    The lit part must be a disc, which cameras may cut at two sides, and its pixels must
    differ. So pages, scenes, strips, screens and photographs whose border was cropped
    off on all sides are refused: nothing in them gives the scale. So are discs far
    smaller than the image, whose black ground would be enlarged with them. Other lit
    discs pass.

    Args:
        image: `[H, W]` or `[H, W, 3]`, uint8 or float in 0..1.
        field: bool `[H, W]`, the lit part.

    >>> y, x = np.indices((100, 100))
    >>> disc = np.hypot(x - 50, y - 50) < 40
    >>> image = np.where(disc, 60 + x, 0).astype(np.uint8)
    >>> problem_of(image, disc)
    ''
    >>> problem_of(np.full((100, 100), 200, np.uint8), np.ones((100, 100), bool))
    'all pixels are nearly equal (standard deviation 0.0 grey levels)'
    """
    if not field.any():
        return "nothing in the image is lit"
    values = image[field]
    top = 1.0 if image.dtype == np.uint8 else 255.0
    contrast = top * float(values.reshape(len(values), -1).std(axis=0).max())
    if contrast < _LEAST_CONTRAST:
        return (
            "all pixels are nearly equal (standard deviation "
            f"{contrast:.1f} grey levels)"
        )
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    box = field[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    if max(box.shape) < _LEAST_SHARE * max(field.shape):
        return (
            f"the lit part is {box.shape[1]} x {box.shape[0]} pixels of an image of "
            f"{field.shape[1]} x {field.shape[0]}; expected a quarter of its longer "
            "side at least: crop the image to the field"
        )
    if min(box.shape) < _LEAST_SIDE * max(box.shape):
        return (
            f"the lit part is {box.shape[1]} x {box.shape[0]} pixels; expected a disc, "
            "cut at two sides at most"
        )
    disc = _disc(box.shape, field_diameter(field))
    covered = box[disc].mean()
    if covered < _LEAST_COVERED:
        return f"the lit part fills {covered:.0%} of a disc; expected a camera's field"
    corners = box[~disc]
    if corners.size and corners.mean() > _MOST_CORNERS:
        return (
            "the lit part has corners; expected a disc on black ground, whose diameter "
            "gives the scale"
        )
    return ""


def _disc(shape: tuple[int, int], diameter: float) -> np.ndarray:
    """Return where a disc at the center of a box lies, bool."""
    height, width = shape
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)
    return distance <= diameter / 2

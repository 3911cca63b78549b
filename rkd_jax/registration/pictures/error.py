"""A map of the expected error over the fixed image."""

from __future__ import annotations

import cv2
import numpy as np

from rkd_jax.images.channels import green_or_fullest
from rkd_jax.images.pictures import to_rgb8
from rkd_jax.registration.pictures import marks
from rkd_jax.registration.pictures.error_grid import sampled
from rkd_jax.registration.pictures.error_marks import add_contours
from rkd_jax.registration.pictures.scene import Scene

_COLORS = cv2.COLORMAP_VIRIDIS
_OPACITY = 0.5
_BAR_PX = 96  # of the color bar and its numbers
_TITLE_PX = 32
_BACKGROUND = 24


def draw(scene: Scene) -> np.ndarray:
    """Draw the expected error in colors, with contours, a color bar and the hull.

    The overlap is hatched where the error is not known.

    Returns:
        uint8 `[h, w, 3]` RGB.
    """
    scene = scene.reduced(1200)
    picture = to_rgb8(green_or_fullest(scene.fixed_view))
    error = scene.registration.error_map
    entries = []
    top = 0.0
    if error is not None:
        values, known = sampled(error, scene.size, scene.scale)
        known &= scene.overlap
        top = error.summary()["worst_px"] or 0.0
        _tint(picture, values, known, top)
        add_contours(picture, error, scene)
    else:
        known = np.zeros(scene.size, bool)
    unknown = scene.overlap & ~known
    if unknown.any():
        marks.hatch(picture, unknown)
        entries.append(("hatch", marks.HATCH, "not known"))
    if len(scene.hull):
        marks.outline(picture, scene.hull, marks.HULL)
        entries.append(("line", marks.HULL, "matches lie within"))
    marks.legend(picture, entries)
    return _framed(picture, top, title_of(scene))


def title_of(scene: Scene) -> str:
    """Return the title: the median and the worst expected error."""
    error = scene.registration.error_map
    summary = {} if error is None else error.summary()
    if summary.get("median_px") is None:
        return "expected error: not known"
    return (
        f"expected error: median {summary['median_px']:.1f} px, "
        f"worst {summary['worst_px']:.1f} px, known in "
        f"{int(100 * summary['known_frac'])} % of the overlap"  # 100 is all of it
    )


def _tint(
    picture: np.ndarray, values: np.ndarray, known: np.ndarray, top: float
) -> None:
    grey = np.clip(values * (255 / max(top, 1e-6)), 0, 255).astype(np.uint8)
    colors = cv2.cvtColor(cv2.applyColorMap(grey, _COLORS), cv2.COLOR_BGR2RGB)
    mixed = cv2.addWeighted(colors, _OPACITY, picture, 1 - _OPACITY, 0)
    cv2.copyTo(mixed, known.astype(np.uint8), picture)


def _framed(picture: np.ndarray, top: float, title: str) -> np.ndarray:
    """Return the picture with its title above and the color bar on the right."""
    height, width = picture.shape[:2]
    frame = np.full((height + _TITLE_PX, width + _BAR_PX, 3), _BACKGROUND, np.uint8)
    frame[_TITLE_PX:, :width] = picture
    needed = marks.text_size(title, 0.6)[0]
    size = 0.6 * min(1.0, (width + _BAR_PX - 16) / needed)
    marks.text(frame, title, (8, 22), size=size, halo=False)
    if top <= 0.0 or height < 64:
        return frame
    ramp = np.linspace(255, 0, height - 40).astype(np.uint8)[:, None]
    colors = cv2.applyColorMap(np.repeat(ramp, 20, axis=1), _COLORS)
    start = _TITLE_PX + 20
    bar = frame[start : start + height - 40, width + 12 : width + 32]
    bar[...] = colors[..., ::-1]
    for share in np.linspace(0, 1, 5):
        y = start + (1 - share) * (height - 41)
        words = f"{share * top:.1f} px"
        marks.text(frame, words, (width + 37, y + 4), size=0.4, halo=False)
    return frame

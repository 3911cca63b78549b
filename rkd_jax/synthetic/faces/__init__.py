"""Synthetic faces: procedural heads with the 98 points of WFLW.

    from rkd_jax.synthetic import faces
    face = faces.face(seed=3, size=128)
    face.image, face.points

Everything follows from the seed: who it is, what the face does, where it looks, the
light and what stands before it. The points are known from the head that was drawn,
also where they are hidden.
"""

from dataclasses import dataclass

import numpy as np

from rkd_jax.geometry.resize import resize_points
from rkd_jax.synthetic.faces.canvas import Canvas
from rkd_jax.synthetic.faces.looks import Looks
from rkd_jax.synthetic.faces.painter import Painter
from rkd_jax.synthetic.faces.photo import develop, occlude
from rkd_jax.synthetic.faces.shape import Expression, Identity, Pose, head_points

__all__ = ["DrawnFace", "face"]

_FINER = 2  # canvas pixels to one of the picture
_CHANCES = (0.25, 0.35, 0.2, 0.25, 0.35, 0.15)


@dataclass(frozen=True)
class DrawnFace:
    """A picture of one face and what is known about it.

    Attributes:
        image: uint8 RGB `[size, size, 3]`.
        points: float32 `[98, 2]`, (x, y) in pixels, in WFLW's order.
        box: float32 `[4]`, x_min, y_min, x_max, y_max around the face, not exactly.
        attributes: bool `[6]`, as `face_points.ATTRIBUTES`: what it was drawn from.
            With "pose", say, turns are wider; a small one may be among them.
    """

    image: np.ndarray
    points: np.ndarray
    box: np.ndarray
    attributes: np.ndarray


def face(seed: int, *, size: int = 128) -> DrawnFace:
    """Draw a face.

    Args:
        seed: at least 0; each seed is another person and picture.
        size: width and height in pixels, at least 48.

    Raises:
        ValueError: an option is out of range.

    >>> drawn = face(0, size=64)
    >>> drawn.image.shape, drawn.points.shape
    ((64, 64, 3), (98, 2))
    """
    for name, value, least in (("seed", seed, 0), ("size", size, 48)):
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}")
    # One stream for each purpose: a change of one does not disturb the others.
    who, what, how, paint = (np.random.default_rng([seed, i]) for i in range(4))
    flags = what.random(len(_CHANCES)) < _CHANCES
    pose, strong, harsh, makeup, covered, blurred = (bool(f) for f in flags)
    head = head_points(Identity.draw(who), Expression.draw(what, strong))
    looks = Looks.draw(who)
    canvas = Canvas(_FINER * size)
    placed = _pose(how, canvas.size, turned=pose)
    light = np.array([how.normal(0, 0.45), how.normal(-0.35, 0.25), 1.0])
    light /= np.linalg.norm(light)
    painter = Painter(canvas, head, placed, looks, paint)
    colour = how.uniform(0.5, 1.0) if makeup else 0.0
    painter.background()
    painter.body()
    painter.skin(light)
    painter.beard()
    painter.brows()
    painter.eyes(colour)
    painter.nose(light)
    painter.mouth(colour)
    painter.fringe()
    sunglasses = covered and how.random() < 0.3
    if looks.glasses or sunglasses:
        painter.glasses(dark=sunglasses)
    if covered and not sunglasses:
        occlude(canvas, painter.xy, painter.unit, paint)
    image = develop(canvas, paint, harsh=harsh, blurred=blurred, scale=_FINER)
    points = resize_points(painter.xy, 1 / _FINER)
    low, high = points.min(axis=0), points.max(axis=0)
    slack = how.normal(0, 0.03, 4) * np.tile(high - low, 2)
    return DrawnFace(
        image=image,
        points=points.astype(np.float32),
        box=(np.concatenate([low, high]) + slack).astype(np.float32),
        attributes=flags,
    )


def _pose(rng: np.random.Generator, side: int, *, turned: bool) -> Pose:
    """Draw where the head looks, and put it near the middle of the picture."""
    spread = (0.45, 0.2, 0.3) if turned else (0.15, 0.08, 0.08)
    limit = (0.8, 0.4, 0.7)
    yaw, pitch, roll = np.clip(rng.normal(0, spread), np.negative(limit), limit)
    scale = side * rng.uniform(0.24, 0.29)
    middle = side * (0.5 + rng.normal(0, 0.02, 2)) - 0.5
    return Pose(float(yaw), float(pitch), float(roll), scale, tuple(middle))

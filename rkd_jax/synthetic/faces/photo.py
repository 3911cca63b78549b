"""What comes before a face, and what light, lens and sensor make of the picture."""

import math

import cv2
import numpy as np

from rkd_jax.synthetic.faces.canvas import Canvas, clouds, smooth
from rkd_jax.synthetic.faces.looks import SKINS


def occlude(
    canvas: Canvas, xy: np.ndarray, unit: float, rng: np.random.Generator
) -> None:
    """Cover a part of the face: a hand, a cloth over the mouth, or some object."""
    kind = rng.choice(["hand", "cloth", "object", "object"])
    if kind == "cloth":
        top = xy[[1, 2, 52, 30, 31]] + [0, 0.1 * unit]
        outline = np.concatenate([top, xy[31:1:-1] + [0, 0.05 * unit]])
        color = rng.uniform(0.1, 1.0, 3)
        canvas.paint(color, canvas.area(outline, blur=0.01 * unit))
        for share in (0.3, 0.6):
            line = (1 - share) * top + share * xy[[4, 10, 16, 22, 28]]
            fold = smooth(line, closed=False)
            canvas.glaze(0.85, canvas.stroke(fold, 0.03 * unit, blur=0.02 * unit))
        return
    target = xy[rng.integers(len(xy))] + rng.normal(0, 0.15 * unit, 2)
    turn = rng.uniform(0, math.pi)
    if kind == "hand":
        skin = SKINS[rng.integers(len(SKINS))]
        along = np.array([math.cos(turn), math.sin(turn)])
        across = np.array([-along[1], along[0]])
        for finger in range(4):
            length = 0.55 * unit * rng.uniform(0.85, 1.1)
            start = target + across * (finger - 1.5) * 0.23 * unit
            line = np.array([start, start + along * length])
            canvas.paint(skin * 0.6, canvas.stroke(line, 0.24 * unit))
            canvas.paint(skin, canvas.stroke(line, 0.20 * unit))
        palm = canvas.ellipse(
            target - along * 0.35 * unit, (0.5 * unit, 0.5 * unit), turn=turn
        )
        canvas.paint(skin * 0.95, canvas.area(palm, blur=0.02 * unit))
        return
    radii = tuple(unit * rng.uniform(0.25, 0.75, 2))
    outline = canvas.ellipse(target, radii, turn=turn)
    if rng.random() < 0.5:
        outline = outline[::12]
    share = canvas.area(outline, blur=unit * rng.uniform(0.0, 0.04))
    tone = rng.uniform(0, 1, 3) * (1 + 0.2 * clouds(rng, canvas.size, 8))[..., None]
    canvas.paint(np.clip(tone, 0, 1), share)


def develop(
    canvas: Canvas, rng: np.random.Generator, *, harsh: bool, blurred: bool, scale: int
) -> np.ndarray:
    """Apply the ambient light, the lens and the sensor; return uint8 RGB.

    Args:
        canvas: painted.
        rng: of the draws.
        harsh: a strong gradient, very dark or very bright.
        blurred: out of focus, or moved.
        scale: how many pixels of the canvas make one of the result.
    """
    image, size = canvas.image, canvas.size
    angle = rng.uniform(0, 2 * math.pi)
    rows, columns = np.indices((size, size), np.float32) / size - np.float32(0.5)
    ramp = math.cos(angle) * columns + math.sin(angle) * rows
    slope = rng.uniform(0.6, 1.3) if harsh else rng.uniform(0, 0.3)
    gamma = math.exp(rng.normal(0, 0.55 if harsh else 0.15))
    cast = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32)
    image = np.clip(image * (1 + slope * ramp)[..., None] * cast, 0, 1) ** gamma
    image = cv2.resize(
        image, (size // scale,) * 2, interpolation=cv2.INTER_AREA
    ).astype(np.float32)
    if blurred:
        if rng.random() < 0.5:
            image = cv2.GaussianBlur(
                image, (0, 0), rng.uniform(0.012, 0.025) * size / 2
            )
        else:
            reach = max(3, int(rng.uniform(0.04, 0.08) * size / scale))
            kernel = np.zeros((reach, reach), np.float32)
            end = rng.integers(0, reach)
            cv2.line(kernel, (0, int(end)), (reach - 1, int(reach - 1 - end)), 1.0)
            image = cv2.filter2D(image, -1, kernel / kernel.sum())
    image = image + rng.normal(0, rng.uniform(0.004, 0.02), image.shape)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)

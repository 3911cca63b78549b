"""Pairs to calibrate and check on, made from photographs that are not FIRE's.

Registrable ones: one photograph in two random views of a curved retina
(homography between undistorted fields, k of a camera) under the light of two visits, or
two visits of a synthetic eye. Unrelated ones: two photographs of different eyes.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax.augment import visit_light
from rkd_jax.evaluation import unrelated
from rkd_jax.geometry.radial import bend
from rkd_jax.images.field import field_of_view
from rkd_jax.images.prepare import field_box, read_image
from rkd_jax.registration.transforms import Frame, Radial
from rkd_jax.registration.transforms.homography import project
from rkd_jax.synthetic.fundus import visits

_VIEW = 0.5  # of the photograph's width that one view of it has


@dataclasses.dataclass(frozen=True, eq=False)
class MadePair:
    """Two photographs and, if they show one eye, the map between them.

    Attributes:
        name: what it was made from.
        fixed: `[H, W, 3]` uint8, or a path.
        moving: the same.
        points: `[N, 4]` x_fixed, y_fixed, x_moving, y_moving; None if unrelated.
    """

    name: str
    fixed: np.ndarray | pathlib.Path
    moving: np.ndarray | pathlib.Path
    points: np.ndarray | None


def photographs(folders: Sequence[str | pathlib.Path]) -> list[pathlib.Path]:
    """List the photographs below folders; refuse those that are for testing only."""
    for folder in map(pathlib.Path, folders):
        if {"fire", "multimodal"} & {part.lower() for part in folder.parts}:
            raise ValueError(
                f"{folder}: FIRE and multimodal pairs are for testing only"
            )
    return unrelated.photographs(folders)


def _view_matrix(rng: np.random.Generator, shift: np.ndarray) -> np.ndarray:
    """Draw a view of the photograph: turn, zoom, shift, tilt, in field coordinates."""
    angle, zoom = rng.normal(0, 0.06), np.exp(rng.normal(0, 0.03))
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    turn = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1.0]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.02, 2)
    return turn @ tilt


def warped(
    path: pathlib.Path,
    seed: int,
    *,
    light: bool = True,
    hard: bool = False,
    side: int = 768,
) -> MadePair:
    """Make a registrable pair from one photograph.

    Two cameras with the same random k (0 to .2) see the photograph, each in a round
    field of its own with half of the photograph's width, up to 1.3 field radii
    apart. Both views get the light of a visit of their own. Hard ones are up to 1.7
    radii apart, blurred by up to 6 px, flat and noisy: many cannot be registered.

    Args:
        path: a photograph.
        seed: of views and light.
        light: change the light.
        hard: see above.
        side: of both images in pixels.
    """
    rng = np.random.default_rng(seed)
    image = read_image(path)
    image = np.ascontiguousarray(image[..., 1] if image.ndim == 3 else image)
    photograph = Frame.of_box(field_box(image))
    field = Frame.of_size((side, side))
    curvature, way = rng.uniform(0, 0.2), rng.uniform(0, 2 * np.pi)
    apart = rng.uniform(0.3, 0.85) if hard else rng.uniform(0, 0.65)
    shift = apart * np.array([np.cos(way), np.sin(way)])
    fixed_view, moving_view = (_view_matrix(rng, s) for s in (shift, -shift))
    rows, columns = np.indices((side, side))
    u = field.to_field(np.stack([columns, rows], axis=-1).astype(np.float64))
    inside = np.sum(u * u, axis=-1) < 0.97**2
    views = []
    for matrix in (fixed_view, moving_view):
        seen = _VIEW * project(matrix, bend(u, curvature))
        xy = photograph.from_field(seen).astype(np.float32)
        view = cv2.remap(image, xy[..., 0], xy[..., 1], cv2.INTER_CUBIC)
        views.append(np.where(inside, view, 0).astype(np.uint8))
    if light:
        keys = jax.random.split(jax.random.key(seed), 2)
        views = [lit(key, view) for key, view in zip(keys, views, strict=True)]
    if hard:
        views = [_spoilt(rng, view) for view in views]
    to_fixed = Radial(np.linalg.inv(fixed_view) @ moving_view, curvature, field, field)
    axis = np.linspace(-0.9, 0.9, 15)
    grid = field.from_field(np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2))
    landmarks = np.concatenate([to_fixed.apply(grid), grid], axis=1)
    seen = np.ones(len(grid), bool)
    for columns in ((0, 1), (2, 3)):
        seen &= np.linalg.norm(field.to_field(landmarks[:, columns]), axis=1) < 0.9
    return MadePair(f"{path.parent.name}/{path.name}", *views, landmarks[seen])


def turned(
    path: pathlib.Path,
    seed: int,
    *,
    turn_deg: float = 0.0,
    field: float = 1.0,
    side: int = 1000,
) -> MadePair:
    """Make a pair of a photograph and a second visit, turned and in a wider field.

    The second visit is shifted a little and has light and noise of its own. It is
    turned about its middle, on a canvas that holds all of it, and a wider field is an
    evenly colored disc around it, whose middle is another one.

    Args:
        path: a photograph.
        seed: of light, noise and place.
        turn_deg: counterclockwise.
        field: width of the moving image's field in those of the photograph, 1 or more.
        side: the photograph's longer side is brought to this.
    """
    rng = np.random.default_rng(seed)
    image = read_image(path)
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)
    zoom = side / max(image.shape[:2])
    way = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    fixed = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=way)
    height, width = fixed.shape[:2]
    inside = field_of_view(fixed)
    light = _light(jax.random.key(seed), jnp.asarray(fixed[..., 1], jnp.float32) / 255)
    gain = np.asarray(light) / np.maximum(fixed[..., 1] / 255.0, 1e-3)
    other = fixed * gain[..., None] + rng.normal(0, 2, fixed.shape)
    other = np.where(inside[..., None], other, 0).clip(0, 255).astype(np.uint8)
    shifted = np.array([[1.01, 0.01, -0.02 * side], [-0.01, 1.0, 0.015 * side]])
    middle = (width - 1) / 2, (height - 1) / 2
    turn = cv2.getRotationMatrix2D(middle, turn_deg, 1.0)
    reach = np.abs(turn[:, :2]) @ [width, height]
    canvas = np.ceil(reach).astype(int)
    if field > 1:
        canvas = np.full(2, round(max(width, height) * field))
    slack = 0.25 * (canvas - reach) * (field > 1)
    place = (canvas - 1) / 2 + rng.uniform(-1, 1, 2) * slack
    turn[:, 2] += place - middle
    whole = _as_3x3(turn) @ _as_3x3(shifted)
    size = tuple(int(n) for n in canvas)
    moving = cv2.warpAffine(other, whole[:2], size, flags=cv2.INTER_CUBIC)
    if field > 1:
        drawn = cv2.warpAffine(
            cv2.erode(inside.astype(np.uint8), np.ones((9, 9)), borderValue=0),
            whole[:2],
            size,
            flags=cv2.INTER_NEAREST,
        )
        disc = np.zeros_like(moving)
        radius = size[0] // 2 - 4
        cv2.circle(disc, (size[0] // 2, size[1] // 2), radius, (150, 70, 30), -1)
        moving = np.where(drawn[..., None] > 0, moving, disc)
    steps = np.linspace(0.2, 0.8, 9)
    grid = np.stack(np.meshgrid(steps * width, steps * height), -1).reshape(-1, 2)
    points = np.concatenate([grid, project(whole, grid)], axis=1)
    return MadePair(f"{path.parent.name}/{path.name}", fixed, moving, points)


def _as_3x3(affine: np.ndarray) -> np.ndarray:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def lit(key: jax.Array, image: np.ndarray) -> np.ndarray:
    """Give a uint8 image `[H, W]` the light of a visit, within its field."""
    field = field_of_view(image)
    light = _light(key, jnp.asarray(image, jnp.float32) / 255.0)
    return np.where(field, np.round(np.asarray(light) * 255.0), 0).astype(np.uint8)


def _spoilt(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Blur a uint8 image `[H, W]`, flatten its contrast and add noise in its field."""
    blur, gain, noise = rng.uniform(0.5, 6), rng.uniform(0.2, 1), rng.uniform(0, 6)
    field = field_of_view(image)
    dull = cv2.GaussianBlur(image.astype(np.float32), (0, 0), blur)
    middle = float(dull[field].mean()) if field.any() else 0.0
    dull = middle + gain * (dull - middle) + rng.normal(0, noise, image.shape)
    return np.where(field, np.clip(np.round(dull), 0, 255), 0).astype(np.uint8)


_light = jax.jit(visit_light)


def synthetic(seed: int, *, size: int = 640) -> MadePair:
    """Make two visits of a synthetic eye, under a camera with a random k (0 to .2)."""
    curvature = float(np.random.default_rng([seed, 17]).uniform(0, 0.2))
    pair = visits(seed, size=size, curvature=curvature)
    points = pair.control_points.astype(np.float64)
    return MadePair(f"synthetic {seed}", pair.fixed.image, pair.moving.image, points)

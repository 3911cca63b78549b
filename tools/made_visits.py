"""Second photographs of an eye that are hard to register, made from one photograph.

What `made_pairs.warped` leaves out: the second photograph is blurred, enlarged, heavily
compressed or dark, as a picture that was photographed again from a screen or a print;
a part of it may show nothing; and the retina itself may have moved between the two.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Sequence

import cv2
import jax
import numpy as np
from made_pairs import MadePair, lit, photographs

from rkd_jax.geometry.radial import bend
from rkd_jax.images.field import field_of_view
from rkd_jax.images.prepare import field_box, read_image
from rkd_jax.registration.transforms import Frame, Radial
from rkd_jax.registration.transforms.homography import project

CAUSES = ("none", "blurred", "enlarged", "compressed", "dark")
_LONGEST_PX = 1600  # larger photographs are reduced: a made pair is not to take long
_VIEW = 0.5  # of the photograph's width, that each of two views has
_SIDES = (768, 1000, 1280)  # of a made image: few, as each compiles its light anew


class Movement:
    """How the retina moved between two visits, in units of the field's radius.

    A smooth part everywhere (what no camera model explains) and, in some eyes, one
    place that moved by far more, as beside a membrane or a hole.

    Args:
        rng: draws it.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        size = np.exp(rng.uniform(np.log(0.0001), np.log(0.008)))
        self._smooth = size * rng.normal(0, 1, (2, 5))
        self.center = rng.uniform(-0.6, 0.6, 2)
        self.width = rng.uniform(0.1, 0.3)
        way = rng.uniform(0, 2 * np.pi)
        amount = np.exp(rng.uniform(np.log(0.004), np.log(0.08)))
        moved = rng.random() < 0.35
        # Steeper, it would fold.
        amount = min(amount, 0.45 * self.width) if moved else 0.0
        self._local = amount * np.array([np.cos(way), np.sin(way)])

    def __call__(self, u: np.ndarray) -> np.ndarray:
        """Return where places `[..., 2]` of the fixed field moved to."""
        x, y = u[..., 0], u[..., 1]
        terms = np.stack(
            [x * x, x * y, y * y, np.sin(3 * x + y), np.sin(2 * y - 2 * x)], axis=-1
        )
        away = np.sum((u - self.center) ** 2, axis=-1, keepdims=True)
        bump = np.exp(-0.5 * away / self.width**2)
        return u + terms @ self._smooth.T + bump * self._local


def second_visit(
    path: pathlib.Path, seed: int, *, cause: str = "none", moves: bool = True
) -> MadePair:
    """Make a pair from one photograph, whose second picture is spoilt.

    Half of the pairs have the photograph as it is as the fixed image; of the others
    both images are views of half its width, up to 1.3 radii of a field apart. Fields
    have the same random k (0 to .2), turn by some degrees and differ in light.

    Args:
        path: a photograph.
        seed: of all that is drawn.
        cause: one of `CAUSES`; how much of it is drawn, too.
        moves: whether the retina moves (`Movement`).

    Returns:
        The pair; its landmarks lie on a grid over what both fields show.
    """
    rng = np.random.default_rng([seed, CAUSES.index(cause)])
    image = read_image(path)
    image = np.ascontiguousarray(image[..., 1] if image.ndim == 3 else image)
    if image.dtype != np.uint8:
        image = np.rint(image * 255).astype(np.uint8)
    zoom = min(1.0, _LONGEST_PX / max(image.shape))
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    photograph = Frame.of_box(field_box(image))
    curvature = rng.uniform(0, 0.2)
    whole = cause == "enlarged" or rng.random() < 0.5
    side = int(rng.choice(_SIDES))
    field = Frame.of_size((side, side))
    enlarged = rng.uniform(1.5, 3.5) if cause == "enlarged" else 1.0
    reach = 1 - 1 / enlarged if cause == "enlarged" else rng.uniform(0, 0.65)
    way = rng.uniform(0, 2 * np.pi)
    shift = reach * np.array([np.cos(way), np.sin(way)])
    if whole:
        fixed_frame, fixed_view = photograph, None
        to_fixed = _view(rng, (0.3 if enlarged == 1 else 1.0) * shift, 1 / enlarged)
    else:
        fixed_frame, fixed_view = field, _view(rng, shift, 1.0)
        to_fixed = np.linalg.inv(fixed_view) @ _view(rng, -shift, 1.0)
    transform = Radial(to_fixed, curvature, field, fixed_frame)
    movement = Movement(rng)

    def map_points(points: np.ndarray) -> np.ndarray:
        mapped = transform.apply(points)
        if not moves:
            return mapped
        return fixed_frame.from_field(movement(fixed_frame.to_field(mapped)))

    def seen(points_fixed: np.ndarray) -> np.ndarray:
        """Return where places of the fixed image lie in the photograph."""
        if fixed_view is None:
            return points_fixed
        u = project(fixed_view, bend(field.to_field(points_fixed), curvature))
        return photograph.from_field(_VIEW * u)

    rows, columns = np.indices((side, side))
    pixels = np.stack([columns, rows], axis=-1).astype(np.float64)
    moving = _drawn(image, seen(map_points(pixels)))
    if fixed_view is None:
        fixed = image
    else:
        fixed = _drawn(image, seen(pixels))
        fixed[~_disc(field, pixels)] = 0
    if cause != "enlarged":
        moving[~_disc(field, pixels)] = 0
    keys = jax.random.split(jax.random.key(seed), 2)
    fixed, moving = lit(keys[0], fixed), lit(keys[1], moving)
    moving = _spoilt(rng, moving, cause)
    if rng.random() < 0.4:
        center = movement.center if rng.random() < 0.5 else rng.uniform(-0.6, 0.6, 2)
        moving = _blinded(rng, moving, field.from_field(center))
    points = _landmarks(fixed, moving, map_points)
    return MadePair(f"{path.parent.name}/{path.name} {cause}", fixed, moving, points)


def made(
    folders: Sequence[str], count: int, seed: int
) -> Iterator[tuple[int, pathlib.Path, str, int]]:
    """Yield number, photograph, cause and seed of each pair, folder by folder."""
    groups = [photographs([folder]) for folder in folders]
    rng = np.random.default_rng(seed)
    for number in range(count):
        group = groups[number % len(groups)]
        path = group[rng.integers(len(group))]
        cause = CAUSES[number // len(groups) % len(CAUSES)]
        yield number, path, cause, int(rng.integers(1 << 30))


def _view(rng: np.random.Generator, shift: np.ndarray, zoom: float) -> np.ndarray:
    """Draw how a camera sees a field: turn, zoom, shift, tilt, in field coordinates."""
    angle, zoom = rng.normal(0, 0.06), zoom * np.exp(rng.normal(0, 0.03))
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    turn = np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]], [0, 0, 1.0]])
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.02, 2)
    return turn @ tilt


def _disc(field: Frame, pixels: np.ndarray) -> np.ndarray:
    u = field.to_field(pixels)
    return np.sum(u * u, axis=-1) < 0.97**2


def _drawn(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    xy = places.astype(np.float32)
    return cv2.remap(image, xy[..., 0], xy[..., 1], cv2.INTER_CUBIC)


def _spoilt(rng: np.random.Generator, image: np.ndarray, cause: str) -> np.ndarray:
    """Spoil a uint8 image `[S, S]` by a cause, more or less of it."""
    amount, side = rng.random(), len(image)
    unit = side / 768
    spoilt = image.astype(np.float32)
    if cause == "blurred":
        spoilt = cv2.GaussianBlur(spoilt, (0, 0), unit * (1.5 + 6 * amount))
    if cause == "enlarged":
        # A small picture of the eye, shown large: its pixels were few.
        small = round(side / (1.5 + 3 * amount))
        spoilt = cv2.resize(spoilt, (small, small), interpolation=cv2.INTER_AREA)
        spoilt = cv2.resize(spoilt, (side, side), interpolation=cv2.INTER_CUBIC)
        spoilt = cv2.GaussianBlur(spoilt, (0, 0), unit * 2 * rng.random())
    if cause == "dark":
        spoilt = spoilt * (0.35 - 0.28 * amount)
    spoilt = spoilt + rng.normal(0, rng.uniform(0.5, 2.5), image.shape)
    spoilt = np.clip(np.rint(spoilt), 0, 255).astype(np.uint8)
    quality = int(30 - 26 * amount) if cause == "compressed" else rng.integers(60, 95)
    if cause == "enlarged":
        quality = int(rng.integers(10, 50))
    _, data = cv2.imencode(".jpg", spoilt, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    spoilt = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return np.where(image > 0, spoilt, np.minimum(spoilt, 8)).astype(np.uint8)


def _blinded(
    rng: np.random.Generator, image: np.ndarray, center: np.ndarray
) -> np.ndarray:
    """Take the detail from one place of an image, as a haze or a reflex does."""
    side = len(image)
    smooth = cv2.GaussianBlur(image, (0, 0), side / 25)
    rows, columns = np.indices(image.shape)
    away = np.hypot(columns - center[0], rows - center[1]) / side
    share = np.clip((rng.uniform(0.12, 0.3) - away) / 0.04, 0, 1)
    return np.rint(share * smooth + (1 - share) * image).astype(np.uint8)


def _landmarks(
    fixed: np.ndarray,
    moving: np.ndarray,
    map_points: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return `[N, 4]` landmarks on a grid over what both images show."""
    axis = (np.arange(24) + 0.5) / 24 * len(moving)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    mapped = map_points(grid)
    shown = np.ones(len(grid), bool)
    for image, points in ((moving, grid), (fixed, mapped)):
        field = field_of_view(image)
        places = np.rint(points).astype(int)
        inside = ((places >= 0) & (places < image.shape[::-1])).all(axis=1)
        places = np.where(inside[:, None], places, 0)
        shown &= inside & field[places[:, 1], places[:, 0]]
    return np.concatenate([mapped, grid], axis=1)[shown]

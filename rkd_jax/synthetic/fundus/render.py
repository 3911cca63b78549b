"""Photograph an eye: project it, lay vessels over the background, add light and noise.

Layers are optical densities: a pixel is light * exp(-density) for each colour, which
makes vessels nearly black in green and faint in red, as in real photographs.
"""

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np

from rkd_jax.synthetic.fundus.camera import Camera
from rkd_jax.synthetic.fundus.eye import TEXTURE, TEXTURE_EXTENT, Eye
from rkd_jax.synthetic.fundus.vessel_tree import CENTER_X

_VEIN_RGB = np.array([0.26, 1.0, 0.45], np.float32)
_ARTERY_RGB = np.array([0.12, 0.9, 0.45], np.float32)


@dataclass(frozen=True)
class FieldStop:
    """The stop in front of the film.

    Attributes:
        radius: Radius of the round field, in half widths of the photograph.
        flat: Rows farther than this from the middle are dark, in half widths.
        notch: Direction of the small notch at the rim, or None.
    """

    radius: float
    flat: float
    notch: float | None


@dataclass(frozen=True)
class Light:
    """What differs between two exposures; every value may be interpolated."""

    red: float
    green: float
    blue: float
    tilt_x: float
    tilt_y: float
    vignette: float
    rim: float
    rim_x: float
    rim_y: float
    shade: float
    shade_x: float
    shade_y: float
    haze: float
    blur: float
    noise: float

    def towards(self, other: "Light", share: float) -> "Light":
        """Return the light `share` of the way to another one."""
        mixed = {
            f.name: (1 - share) * getattr(self, f.name) + share * getattr(other, f.name)
            for f in fields(self)
        }
        return Light(**mixed)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of one exposure."""
    gain = math.exp(rng.normal(0, 0.12))
    angle = rng.uniform(0, 2 * math.pi)
    way = rng.uniform(0, 2 * math.pi)
    far = rng.uniform(0.2, 0.9)
    return Light(
        red=gain * math.exp(rng.normal(0, 0.08)),
        green=gain * math.exp(rng.normal(0, 0.09)),
        blue=gain * math.exp(rng.normal(0, 0.14)),
        tilt_x=rng.normal(0, 0.1),
        tilt_y=rng.normal(0, 0.1),
        vignette=rng.uniform(0.05, 0.45),
        rim=rng.uniform(0, 0.5) * (rng.random() < 0.6),
        rim_x=math.cos(angle),
        rim_y=math.sin(angle),
        shade=rng.uniform(0.2, 0.55) * (rng.random() < 0.2),
        shade_x=far * math.cos(way),
        shade_y=far * math.sin(way),
        haze=rng.uniform(0, 0.25) * (rng.random() < 0.5),
        blur=rng.uniform(0.3, 1.1),
        noise=rng.uniform(0.003, 0.011),
    )


def field_mask(size: int, stop: FieldStop) -> np.ndarray:
    """Return the lit part of a photograph: bool `[size, size]`."""
    axis = (np.arange(size) - (size - 1) / 2) / (size / 2)
    x, y = axis[None], axis[:, None]
    field = (np.hypot(x, y) < stop.radius) & (np.abs(y) < stop.flat)
    if stop.notch is not None:
        nx, ny = math.cos(stop.notch), math.sin(stop.notch)
        field |= np.hypot(x - stop.radius * nx, y - stop.radius * ny) < 0.05
    return field


def _dense(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sample polylines so that round brushes overlap into smooth lines.

    Args:
        points: float `[N, 5]`: x, y, radius in pixels, amplitude, branch number.

    Returns:
        float64 `[M, 4]` without the branch number, and the branch numbers `[M]`.
    """
    delta = np.diff(points[:, :4], axis=0)
    same = points[1:, 4] == points[:-1, 4]
    spacing = np.maximum(0.45, 0.25 * points[:-1, 2])
    count = np.ceil(np.hypot(delta[:, 0], delta[:, 1]) / spacing)
    count = np.where(same, np.maximum(count, 1), 0).astype(int)
    index = np.repeat(np.arange(len(count)), count)
    first = np.cumsum(count) - count
    share = (np.arange(len(index)) - first[index]) / count[index]
    return points[index, :4] + share[:, None] * delta[index], points[index, 4]


def vessel_maps(eye: Eye, view: Camera) -> dict[str, np.ndarray]:
    """Draw the vessels of an eye as a view sees them.

    Returns:
        float32 `[size, size]` each: "vein" and "artery" (optical density), "reflex"
        (light streak of the arteries), "cover" (share of a pixel under a vessel).
    """
    size = view.size
    counts = [len(b) for b in eye.tree.branches]
    chart = np.concatenate(eye.tree.branches)
    branch = np.repeat(np.arange(len(counts)), counts)
    xy = view.from_chart(chart[:, :2])
    near = np.all((xy > -30) & (xy < size + 30), axis=1)
    radius = chart[:, 2] * view.pixels_per_field(chart[:, :2])
    depth = 0.6 * (1 - np.exp(-chart[:, 2] / 0.0065))
    depth = np.where(eye.tree.veins[branch], depth, 0.75 * depth)
    # A gap in the numbers keeps parts that leave and re-enter the picture apart.
    run = branch * 100 + np.cumsum(~near) % 100
    table = np.column_stack([xy, radius, depth, run])[near]
    points, _ = _dense(table)
    vein = eye.tree.veins[np.clip(_ // 100, 0, len(counts) - 1).astype(int)]
    out = np.zeros((4, size * size), np.float32)
    reach = np.ceil(points[:, 2] + 0.6).astype(int)
    for r in np.unique(reach):
        chosen = reach == r
        px, py, rad, amp = points[chosen].astype(np.float32).T[:, :, None]
        kind = vein[chosen]
        offset = np.arange(-r, r + 1)
        oy, ox = (o.ravel()[None] for o in np.meshgrid(offset, offset, indexing="ij"))
        column, row = np.rint(px).astype(int) + ox, np.rint(py).astype(int) + oy
        inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
        at = np.where(inside, row * size + column, 0)
        d = np.hypot(column - px, row - py).astype(np.float32)
        cover = np.clip(rad + 0.5 - d, 0, 1) * np.minimum(1, 2 * rad) * inside
        round_ = np.sqrt(np.clip(1 - np.square(d / (rad + 0.5)), 0, 1))
        density = cover * amp * (0.6 + 0.4 * round_)
        np.maximum.at(out[0], at[kind], density[kind])
        np.maximum.at(out[1], at[~kind], density[~kind])
        np.maximum.at(out[3], at, cover)
        if r > 1:
            streak = np.exp(-np.square(d / (0.32 * rad))) * np.clip(rad - 1, 0, 1)
            weight = np.where(kind, 0.35, 1.0).astype(np.float32)[:, None]
            np.maximum.at(out[2], at, streak * weight * inside)
    names = ("vein", "artery", "reflex", "cover")
    return dict(zip(names, out.reshape(4, size, size)))


def _background(eye: Eye, grid: np.ndarray) -> np.ndarray:
    """Optical density of pigment, choroid and macula: float32 `[H, W, 3]`."""
    texel = TEXTURE / (2 * TEXTURE_EXTENT)
    u = (grid[..., 0] - CENTER_X + TEXTURE_EXTENT) * texel
    v = (grid[..., 1] + TEXTURE_EXTENT) * texel
    texture = cv2.remap(eye.texture, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
    far2 = np.square(grid[..., 0]) + np.square(grid[..., 1] * 1.1)
    calm = 1 - 0.75 * np.exp(-far2 / 0.2)  # the choroid is hidden under the macula
    tone = 0.05 * texture[..., 0] + 0.018 * texture[..., 2]
    tone -= (0.02 + 0.13 * eye.choroid) * texture[..., 1] * calm
    shade = eye.macula * (np.exp(-far2 / 0.06) + 0.5 * np.exp(-far2 / 0.004))
    return (
        tone[..., None] * np.array([0.6, 1.0, 1.2], np.float32)
        + shade[..., None] * np.array([0.55, 1.0, 1.1], np.float32)
    ).astype(np.float32)


def _disc(eye: Eye, grid: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Paint the optic disc with rim and cup over an image float32 `[H, W, 3]`."""
    x, y, wide, tall, cup = eye.disc
    dx, dy = (grid[..., 0] - x) / wide, (grid[..., 1] - y) / tall
    far = np.sqrt(dx * dx + dy * dy)
    soft = 1 / (1 + np.exp(np.clip((far - 1) / 0.07, -30, 30)))
    halo = np.exp(-np.square(np.maximum(far - 1, 0) / 0.45))
    hollow = np.sqrt(np.square(dx + 0.12) + np.square(dy))
    hollow = 1 / (1 + np.exp(np.clip((hollow - cup) / 0.1, -30, 30)))
    level = 0.6 + 0.45 * float(eye.color[0])
    rim = np.array([1.08, 0.68, 0.4], np.float32) * level
    pale = np.array([1.12, 0.94, 0.68], np.float32) * level
    paint = rim + (pale - rim) * hollow[..., None]
    # Nerve fibres make the upper and lower rim brighter and hide part of its edge.
    image = image * (1 + 0.1 * halo[..., None] * np.square(dy / (far + 0.1))[..., None])
    return image + (paint - image) * (0.9 * soft[..., None])


def _spots(
    eye: Eye, view: Camera, shown: np.ndarray, growth: np.ndarray, image: np.ndarray
) -> None:
    """Paint lesions into an image float32 `[H, W, 3]`, in place."""
    colors = (
        (0.55, 0.35, 0.4, 0.75),
        (0.55, 0.32, 0.4, 0.8),
        (1.3, 1.75, 1.3, 0.85),
        (1.2, 1.4, 1.1, 0.45),
        (1.25, 1.6, 1.7, 0.6),
    )
    softness = (0.35, 0.25, 0.18, 0.6, 0.8)
    size = view.size
    places = eye.lesions.places[shown]
    centers = view.from_chart(places[:, :2])
    radii = places[:, 2] * view.pixels_per_field(places[:, :2]) * growth[shown]
    for (cx, cy), radius, kind, shape in zip(
        centers, radii, eye.lesions.kinds[shown], eye.lesions.shapes[shown]
    ):
        reach = int(3 * radius + 3)
        x0, x1 = max(int(cx) - reach, 0), min(int(cx) + reach + 1, size)
        y0, y1 = max(int(cy) - reach, 0), min(int(cy) + reach + 1, size)
        if x0 >= x1 or y0 >= y1:
            continue
        dx = np.arange(x0, x1)[None] - cx
        dy = np.arange(y0, y1)[:, None] - cy
        angle = np.arctan2(dy, dx) - shape[1]
        outline = 1 + 0.12 * np.sin(3 * angle + shape[2]) + 0.1 * np.sin(5 * angle)
        outline += 0.07 * np.sin(9 * angle + 2 * shape[2])
        outline += 0.25 * shape[0] * np.cos(2 * angle)
        far = np.hypot(dx, dy) / (max(radius, 0.6) * outline)
        *color, strength = colors[kind]
        soft = softness[kind]
        alpha = (
            strength
            * min(1, radius)
            / (1 + np.exp(np.clip((far - 1) / soft * 4, -30, 30)))
        )
        patch = image[y0:y1, x0:x1]
        patch += patch * (np.array(color) - 1) * alpha[..., None]


def expose(
    eye: Eye,
    view: Camera,
    stop: FieldStop,
    light: Light,
    rng: np.random.Generator,
    *,
    shown: np.ndarray,
    growth: np.ndarray,
    added: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take one photograph.

    Args:
        eye: What is photographed.
        view: The camera.
        stop: Shape of the field.
        light: The exposure.
        rng: Noise of the sensor.
        shown: bool `[L]`: which lesions are there.
        growth: float `[L]`: factor of their radius.
        added: float32 `[size, size, 3]`: optical density of what lies under the
            vessels beside them.

    Returns:
        uint8 RGB `[size, size, 3]`, the lit field bool `[size, size]`, and the vessels
        within it bool `[size, size]`.
    """
    size = view.size
    grid = view.pixel_grid()
    maps = vessel_maps(eye, view)
    image = eye.color.astype(np.float32) * np.exp(-_background(eye, grid))
    image = _disc(eye, grid, image)
    _spots(eye, view, shown, growth, image)
    if added is not None:
        image = image * np.exp(-added)
    vein, artery = maps["vein"], maps["artery"]
    vein = vein * (1 - 0.5 * np.clip(artery * 6, 0, 1))
    density = vein[..., None] * _VEIN_RGB + artery[..., None] * _ARTERY_RGB
    density *= 1 - np.array([0.7, 0.5, 0.5], np.float32) * maps["reflex"][..., None]
    image = image * np.exp(-density)
    field = field_mask(size, stop)
    image = _develop(image, field, stop, light, rng)
    return image, field, (maps["cover"] > 0.45) & field


def _develop(
    image: np.ndarray,
    field: np.ndarray,
    stop: FieldStop,
    light: Light,
    rng: np.random.Generator,
) -> np.ndarray:
    """Apply light, lens and sensor to a float32 `[H, W, 3]` image."""
    size = image.shape[0]
    axis = ((np.arange(size) - (size - 1) / 2) / (size / 2)).astype(np.float32)
    x, y = axis[None], axis[:, None]
    far = np.hypot(x, y) / stop.radius
    lit = (
        1 + light.tilt_x * x + light.tilt_y * y - light.vignette * np.square(far) ** 1.5
    )
    hole = np.square(x - light.shade_x) + np.square(y - light.shade_y)
    lit = lit * (1 - light.shade * np.exp(-hole / 0.2))
    gain = np.array([light.red, light.green, light.blue], np.float32)
    image = image * np.maximum(lit, 0.08)[..., None] * gain
    side = np.clip(0.5 + 0.5 * (x * light.rim_x + y * light.rim_y), 0, 1)
    glow = light.rim * side * np.exp((far - 1) / 0.09)
    veil = light.haze * 0.6 + np.minimum(glow, 1)
    mist = np.array([0.6, 0.55, 0.42], np.float32)
    image = image + (mist - image) * np.clip(veil, 0, 0.9)[..., None]
    sigma = light.blur * size / 512
    if sigma > 0.25:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image = np.where(image > 0.7, 1 - 0.3 * np.exp((0.7 - image) / 0.3), image)
    edge = cv2.GaussianBlur(field.astype(np.float32), (0, 0), max(0.6, size / 700))
    image = image * edge[..., None] + 0.012
    noise = rng.standard_normal(image.shape, np.float32)
    grain = cv2.GaussianBlur(noise, (0, 0), 0.6) * 1.8
    image = image + light.noise * grain * (0.25 + edge[..., None])
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)
